// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFinding } from './check.ts';
import { checkErrorCatalogue } from './error-catalogue.ts';
import { checkFiles } from './files.ts';

const licence = '// SPDX-License-Identifier: Apache-2.0';

test('wants a licence line, at most 400 lines and kebab-case', () => {
  const good = [
    { path: 'packages/a/src/some-thing.test.ts', text: `${licence}\n` },
    { path: 'mbl', text: '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n' },
    { path: 'tests/a.story.ts', text: `${licence}\n${'x;\n'.repeat(399)}` },
  ];
  assert.deepEqual(checkFiles(good), []);
  const bad = [
    { path: 'packages/a/src/someThing.ts', text: `${licence}\n` },
    { path: 'packages/a/src/none.ts', text: 'x;\n' },
    { path: 'packages/a/src/long.ts', text: `${licence}\n${'x;\n'.repeat(400)}` },
  ];
  assert.deepEqual(checkFiles(bad).map(formatFinding), [
    'packages/a/src/someThing.ts: file names are kebab-case: some-thing.ts, some-thing.test.ts',
    'packages/a/src/none.ts:1: must open with SPDX-License-Identifier: Apache-2.0',
    'packages/a/src/long.ts: has 401 lines, more than 400: split it by concept',
  ]);
});

test('holds the catalogue of errors against the code, both ways', () => {
  const sources = [
    {
      path: 'packages/trust/src/a.ts',
      text: "throw new MblError('trust/known', 'x');\nfail('trust/new-one');\njoin('src/a')",
    },
    { path: 'packages/trust/src/a.test.ts', text: "code: 'trust/only-in-a-test'" },
  ];
  const page = '| code | what |\n|---|---|\n| `trust/known` | x |\n| `trust/gone` | x |\n';
  assert.deepEqual(checkErrorCatalogue(sources, page).map(formatFinding), [
    "packages/trust/src/a.ts:2: raises 'trust/new-one', which docs/reference/errors.md lacks",
    "docs/reference/errors.md:4: lists 'trust/gone', which no code raises",
  ]);
});
