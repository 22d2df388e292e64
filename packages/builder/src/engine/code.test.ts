// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CodeFinder, importsIn, meaningOf } from './code.ts';

/** A folder with these files. */
async function write(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-code-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const names = (folder: string, files: Readonly<Record<string, string>>): string[] =>
  Object.keys(files).map((file) => file.slice(folder.length + 1));

test('what a module asks of others when it runs: not its types, not what it says in a comment', () => {
  const source = `import { type A, b } from './b.ts';
import type { C } from './types.ts';
import { type D } from './only-types.ts';
import {
  e as f,
  g,
} from './several.ts';
import whole from 'a-package';
import './effects.ts';
export { h as i } from './exported.ts';
export * from './all.ts';
const late = await import('./late.ts');
export function from(text: string): string { return text + 'x'; }
`;
  assert.deepEqual(importsIn(source), [
    { specifier: './b.ts', names: ['b'] },
    { specifier: './several.ts', names: ['e', 'g'] },
    { specifier: 'a-package', names: undefined },
    { specifier: './effects.ts', names: undefined },
    { specifier: './exported.ts', names: ['i'] },
    { specifier: './all.ts', names: undefined },
    { specifier: './late.ts', names: undefined },
  ]);
});

test('comments between the names, and options of an import, hide nothing', () => {
  const source = `import {
  a, // it's what "we" need; all of it
  /* b's */ b,
} from './b.ts';
export {
  // 'c'
  c,
} from './c.ts';
const late = await import(/* seldom */ './late.ts');
const data = await import('./data.ts', {});
`;
  assert.deepEqual(importsIn(source), [
    { specifier: './b.ts', names: ['a', 'b'] },
    { specifier: './c.ts', names: ['c'] },
    { specifier: './late.ts', names: undefined },
    { specifier: './data.ts', names: undefined },
  ]);
});

test('the code of a task is what it imports, through front doors by name, Node, and the packages with what they need', async (t) => {
  const folder = await write(t, {
    'task.ts': `import { used } from '@mbl/own';\nimport { x } from './beside.ts';\nimport 'foreign/part';\n`,
    'task.test.ts': `import './task.ts';\n`,
    'beside.ts': `import { x } from './circle.ts';\nexport { x };\n`,
    'circle.ts': `import './beside.ts';\nexport const x = 1;\n`,
    'node_modules/@mbl/own/src/index.ts': `export { used } from './used.ts';\nexport { other } from './other.ts';\n`,
    'node_modules/@mbl/own/src/used.ts': 'export const used = 1;\n',
    'node_modules/@mbl/own/src/other.ts': 'export const other = 1;\n',
    'node_modules/foreign/package.json': '{ "version": "1.0.0", "dependencies": { "deep": "*" } }',
    'node_modules/deep/package.json': '{ "version": "2.0.0" }',
  });
  const { files, packages } = await new CodeFinder().codeOf(join(folder, 'task.ts'));
  assert.deepEqual(names(folder, files), [
    'beside.ts',
    'circle.ts',
    'node_modules/@mbl/own/src/used.ts',
    'task.ts',
  ]);
  assert.deepEqual(packages, ['deep 2.0.0', 'foreign 1.0.0', `node ${process.versions.node}`]);
});

test('a name that a front door has from another one is found behind both', async (t) => {
  const folder = await write(t, {
    'task.ts': `import { deep } from '@mbl/own';\n`,
    'node_modules/@mbl/own/src/index.ts': `export { deep } from '@mbl/other';\n`,
    'node_modules/@mbl/other/src/index.ts': `export { deep } from './deep.ts';\n`,
    'node_modules/@mbl/other/src/deep.ts': 'export const deep = 1;\n',
  });
  const { files } = await new CodeFinder().codeOf(join(folder, 'task.ts'));
  assert.ok(names(folder, files).includes('node_modules/@mbl/other/src/deep.ts'));
});

test('code means the same with another comment or type, and something else with another word', async (t) => {
  const meaning = async (text: string): Promise<string> => {
    const folder = await write(t, { 'task.ts': text });
    return JSON.stringify(await meaningOf(await new CodeFinder().codeOf(join(folder, 'task.ts')), folder));
  };
  const first = await meaning('// why\nexport const answer: number = 42;\n');
  assert.equal(await meaning('/* because */ export const answer\n  : 42 = 42; // so\n'), first);
  assert.notEqual(await meaning('export const answer = 43;\n'), first);
  assert.doesNotMatch(first, /mbl-code-/, 'it does not say where the code lies');
});
