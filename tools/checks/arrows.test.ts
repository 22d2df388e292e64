// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkArrows, checkUnused, readArrows } from './arrows.ts';
import { formatFinding } from './check.ts';

const architecture = `| folder | what | may import |
|---|---|---|
| \`packages/trust\` | keys | |
| \`packages/coap\` | messages | |
| \`packages/service\` | service | coap, trust |
| \`packages/cli\` | verbs | service |
`;

const everything = { '@mbl/trust': '1', '@mbl/coap': '1', '@mbl/service': '1' };

function check(files: Record<string, string>): string[] {
  return checkArrows(
    Object.entries(files).map(([path, text]) => ({ path, text })),
    {
      arrows: readArrows(architecture),
      manifests: new Map([
        ['trust', { dependencies: { pkijs: '4', ...everything } }],
        ['coap', { dependencies: everything }],
        ['service', { dependencies: { '@mbl/coap': '1' } }],
        ['cli', { dependencies: everything }],
      ]),
      root: { devDependencies: { 'fast-check': '4' } },
    },
  ).map(formatFinding);
}

test('lets allowed imports pass', () => {
  assert.deepEqual(
    check({
      'packages/trust/src/a.ts': "import { b } from './deep/b.ts';\nimport 'pkijs';\nimport 'node:fs';",
      'packages/trust/src/deep/b.ts': "import type { a } from '../a.ts';",
      'packages/trust/src/a.test.ts': "import fc from 'fast-check';",
      'packages/service/src/a.ts': "import { x } from '@mbl/coap';",
      'packages/cli/src/a.ts': "import { x } from '@mbl/service';",
      'tests/boot.story.ts': "import { x } from '@mbl/service';\nimport { y } from './support/y.ts';",
    }),
    [],
  );
});

test('refuses an arrow that the table does not have', () => {
  assert.deepEqual(check({ 'packages/trust/src/a.ts': "\nimport { x } from '@mbl/service';" }), [
    'packages/trust/src/a.ts:2: packages/trust must not import packages/service (see the table of folders in ARCHITECTURE.md)',
  ]);
});

test('refuses what passes the front door', () => {
  assert.deepEqual(
    check({
      'packages/service/src/a.ts': "import { x } from '@mbl/coap/src/x.ts';",
      'packages/service/src/b.ts': "import { x } from '../../coap/src/x.ts';",
      'tests/a.story.ts': "import { x } from '../packages/coap/src/x.ts';",
      'bench/a.bench.ts': "import { x } from '../tests/support/x.ts';\nimport { y } from '../tests/y.ts';",
    }),
    [
      "packages/service/src/a.ts:1: imports '@mbl/coap/src/x.ts' past the front door: import from '@mbl/coap'",
      "packages/service/src/b.ts:1: imports packages/coap/src/x.ts past the front door: import from '@mbl/<package>'",
      "tests/a.story.ts:1: imports packages/coap/src/x.ts past the front door: import from '@mbl/<package>'",
      "bench/a.bench.ts:2: imports tests/y.ts past the front door: import from '@mbl/<package>'",
    ],
  );
});

test('refuses a dependency that package.json does not name', () => {
  assert.deepEqual(
    check({
      'packages/coap/src/a.ts': "import 'left-pad';\nimport fc from 'fast-check';",
      'packages/service/src/a.ts': "import { x } from '@mbl/trust';",
      'bench/a.bench.ts': "import 'left-pad';",
    }),
    [
      "packages/coap/src/a.ts:1: imports 'left-pad', which package.json does not name",
      "packages/coap/src/a.ts:2: imports 'fast-check', which package.json does not name",
      "packages/service/src/a.ts:1: imports '@mbl/trust', which package.json does not name",
      "bench/a.bench.ts:1: imports 'left-pad', which package.json does not name",
    ],
  );
});

test('refuses circles of packages and of modules, types apart', () => {
  assert.deepEqual(
    check({
      'packages/coap/src/a.ts': "import { b } from './b.ts';",
      'packages/coap/src/b.ts': "import { c } from './c.ts';",
      'packages/coap/src/c.ts': "import { a } from './a.ts';",
      'packages/service/src/a.ts': "import type { b } from './b.ts';",
      'packages/service/src/b.ts': "import { a } from './a.ts';",
    }),
    [
      'packages/coap/src/a.ts: imports itself in a circle: packages/coap/src/a.ts -> packages/coap/src/b.ts -> packages/coap/src/c.ts -> packages/coap/src/a.ts',
    ],
  );
});

test('names arrows and dependencies that nobody uses', () => {
  const files = {
    'packages/service/src/a.ts': "import { x } from '@mbl/coap';\nimport 'pkijs/deep';",
    'packages/cli/src/a.test.ts': "import type { x } from '@mbl/service';",
    'tests/a.story.ts': "import { x } from '@mbl/trust';",
  };
  const found = checkUnused(
    Object.entries(files).map(([path, text]) => ({ path, text })),
    {
      arrows: readArrows(architecture),
      manifests: new Map([
        ['service', { dependencies: { '@mbl/coap': '1', '@mbl/trust': '1', pkijs: '4', ws: '8' } }],
        ['cli', { dependencies: { '@mbl/service': '1' }, devDependencies: { 'fast-check': '4' } }],
      ]),
    },
  );
  assert.deepEqual(found.map(formatFinding), [
    'ARCHITECTURE.md: packages/service may import packages/trust, and does not: take the arrow out of the table of folders',
    "packages/service/package.json: names '@mbl/trust', which no file there imports",
    "packages/service/package.json: names 'ws', which no file there imports",
  ]);
});

test('the table in ARCHITECTURE.md can be read', async () => {
  const arrows = readArrows(await readFile(join(import.meta.dirname, '../../ARCHITECTURE.md'), 'utf8'));
  assert.equal(arrows.get('cli')?.has('service'), true);
  assert.equal(arrows.get('service')?.has('device'), false);
  assert.equal(arrows.get('device')?.has('service'), false);
  assert.equal(arrows.get('trust')?.size, 0);
});
