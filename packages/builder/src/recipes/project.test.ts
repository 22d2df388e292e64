// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { readProject } from './project.ts';

/** A product's folder with this project file, a layer and keys. */
async function product(t: TestContext, text: string): Promise<{ folder: string; file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-project-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of ['layer', 'keys']) await mkdir(join(folder, name), { recursive: true });
  const file = join(folder, 'mbl.yaml');
  await writeFile(file, text);
  return { folder, file };
}

async function refused(t: TestContext, text: string, code: string, ...parts: RegExp[]): Promise<void> {
  const { file } = await product(t, text);
  await assert.rejects(readProject(file), (error: unknown) => {
    assert.ok(error instanceof MblError);
    assert.equal(error.code, code);
    for (const part of parts) assert.match(`${error.message} ${error.remedy}`, part);
    return true;
  });
}

void test('a project file says what is built; its paths start at its folder', async (t) => {
  const { folder, file } = await product(
    t,
    'machine: qemu-arm64\nimage: product\nlayers: [layer, .]\nkeys: keys\n',
  );
  const { locate: _, ...project } = await readProject(file);
  assert.deepEqual(project, {
    file,
    machine: 'qemu-arm64',
    image: 'product',
    layers: [join(folder, 'layer'), folder],
    keys: join(folder, 'keys'),
  });
});

void test('every key may be missing', async (t) => {
  const { file } = await product(t, 'image: product\n');
  const { machine, layers, keys } = await readProject(file);
  assert.deepEqual([machine, layers, keys], [undefined, undefined, undefined]);
});

void test('a mistake is named with file, line, column and the nearest word', async (t) => {
  await refused(t, 'image: a\nmachin: b\n', 'formats/bad-recipe', /mbl\.yaml:2:1: /, /"machine"\?/);
  await refused(t, 'image: [a]\n', 'formats/bad-recipe', /mbl\.yaml:1:8: .* not a list/);
  await refused(t, 'image: a\nimage: b\n', 'formats/bad-recipe', /mbl\.yaml:2:1: .*unique/);
  await refused(t, 'image: "a\\e[31mb"\n', 'formats/bad-recipe', /mbl\.yaml:1:8: [^\p{Cc}]*$/u);
  await refused(t, 'layers: layer\n', 'formats/bad-recipe', /mbl\.yaml:1:9: "layers" must be a list/);
  await refused(t, 'layers:\n  - layer\n  - gone\n', 'builder/missing-file', /mbl\.yaml:3:5: .*gone/);
  await refused(t, 'keys: none\n', 'builder/missing-file', /mbl\.yaml:1:7: /);
  await assert.rejects(readProject('/nonexistent/mbl.yaml'), { code: 'builder/missing-file' });
});

void test('a named pipe as project file is no file to wait for', { timeout: 10_000 }, async (t) => {
  const { folder } = await product(t, '');
  execFileSync('mkfifo', [join(folder, 'pipe.yaml')]);
  await assert.rejects(readProject(join(folder, 'pipe.yaml')), MblError);
});

void test('an error about what the file names is located in it, another is not', async (t) => {
  const { file } = await product(t, 'image: produkt\n');
  const { locate } = await readProject(file);
  const unknown = (name: string) =>
    new MblError('builder/unknown-image', `No image is called "${name}".`, { details: { name } });
  const located = locate(unknown('produkt'));
  assert.ok(located instanceof MblError);
  assert.match(located.message, /mbl\.yaml:1:8: No image is called "produkt"/);
  const other = unknown('other');
  assert.equal(locate(other), other);
});

void test('every key is in the reference', () => {
  const page = join(import.meta.dirname, '../../../../docs/reference/project-file.md');
  const text = readFileSync(page, 'utf8');
  for (const key of ['machine', 'image', 'layers', 'keys'])
    assert.match(text, new RegExp(`^\\| \`${key}\``, 'm'), key);
});
