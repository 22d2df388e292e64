// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFinding } from './check.ts';
import { checkErrorCatalogue, updateErrorCatalogue } from './error-catalogue.ts';
import { checkFiles } from './files.ts';

const licence = '// SPDX-License-Identifier: Apache-2.0';

test('wants a licence line, at most 400 lines and kebab-case', () => {
  const good = [
    { path: 'packages/a/src/some-thing.test.ts', text: `${licence}\n` },
    { path: 'mbl', text: '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n' },
    { path: 'tests/a.story.ts', text: `${licence}\n${'x;\n'.repeat(399)}` },
    { path: 'os/firmware/u-boot/a.c', text: '// SPDX-License-Identifier: GPL-2.0-or-later\n' },
  ];
  assert.deepEqual(checkFiles(good), []);
  const bad = [
    { path: 'packages/a/src/someThing.ts', text: `${licence}\n` },
    { path: 'packages/a/src/none.ts', text: 'x;\n' },
    { path: 'os/firmware/u-boot/a.c', text: `${licence}\n` },
    { path: 'packages/a/src/long.ts', text: `${licence}\n${'x;\n'.repeat(400)}` },
  ];
  assert.deepEqual(checkFiles(bad).map(formatFinding), [
    'packages/a/src/someThing.ts: file names are kebab-case: some-thing.ts, some-thing.test.ts',
    'packages/a/src/none.ts:1: must open with SPDX-License-Identifier: Apache-2.0',
    'os/firmware/u-boot/a.c:1: must open with SPDX-License-Identifier: GPL-2.0-or-later',
    'packages/a/src/long.ts: has 401 lines, more than 400: split it by concept',
  ]);
});

const sources = [
  {
    path: 'packages/trust/src/a.ts',
    text: [
      "// `keys/in-a-comment`, 'trust/in-a-comment'",
      "throw new MblError('trust/known', 'x');",
      "throw new MblError('keys/new-one', `no ${what('x')} in ${{ a: 1 }.a}`, {",
      "  remedy: 'Type: ./mbl keys init',",
      '});',
      "fail('trust/by-helper');",
      "join('src/a');",
    ].join('\n'),
  },
  { path: 'packages/trust/src/a.test.ts', text: "code: 'trust/only-in-a-test'" },
];

test('holds the catalogue of errors against the code, both ways', () => {
  const page = '# Codes\n\n| code | what |\n|---|---|\n| `trust/known` | mine | y |\n| `trust/gone` | x |\n';
  assert.deepEqual(checkErrorCatalogue(sources, page).map(formatFinding), [
    "packages/trust/src/a.ts:3: raises 'keys/new-one', which docs/reference/errors.md lacks",
    "packages/trust/src/a.ts:6: raises 'trust/by-helper', which docs/reference/errors.md lacks",
    "docs/reference/errors.md:6: lists 'trust/gone', which no code raises",
  ]);
});

test('the catalogue is brought up to date without losing what was written', () => {
  const page = updateErrorCatalogue(
    sources,
    '# Codes\n\nText.\n\n## trust\n\n| `trust/known` | mine | y |\n| `trust/gone` | x | y |\n',
  );
  assert.deepEqual(checkErrorCatalogue(sources, page), []);
  assert.match(page, /^# Codes\n\nText\.\n\n## keys\n/);
  assert.match(page, /^\| `keys\/new-one` \| no … in … \| Type: \.\/mbl keys init \|$/m);
  assert.match(page, /^\| `trust\/known` \| mine \| y \|$/m);
});
