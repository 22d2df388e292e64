// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findImports } from './imports.ts';

test('finds every form of import, with its line, and not those in comments', () => {
  const text = [
    "// import { no } from './comment.ts';",
    "import { a } from './a.ts';",
    "import type { B } from '@mbl/b';",
    'import {',
    '  c,',
    '  d,',
    '} from "c";',
    "import './side.ts';",
    "/* import { no } from './block.ts';",
    "   import './block-too.ts'; */",
    "export { e } from './e.ts';",
    "export type { F } from './f.ts';",
    "export * from './g.ts';",
    // In two parts, so that the check does not take it for an import of this file.
    ['const h = async () => await imp', "ort('./h.ts');"].join(''),
    "const text = from('./not.ts');",
  ].join('\n');
  assert.deepEqual(
    findImports(text).map(({ specifier, line, typeOnly, lazy }) => [line, specifier, typeOnly || lazy]),
    [
      [2, './a.ts', false],
      [3, '@mbl/b', true],
      [7, 'c', false],
      [8, './side.ts', false],
      [11, './e.ts', false],
      [12, './f.ts', true],
      [13, './g.ts', false],
      [14, './h.ts', true],
    ],
  );
});
