// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { SourceFile } from './check.ts';

const folders = ['packages', 'tools', 'tests', 'bench', 'examples', 'os', '.ci'];
const extensions = /\.(ts|js|mjs|sh|py|c|h)$/;
const commands = new Set(['mbl', '.ci/run']);

/** Every file of program code in the working copy, sorted by path. */
export async function readSources(root: string): Promise<SourceFile[]> {
  const paths = ['mbl'];
  for (const folder of folders) {
    const entries = await readdir(join(root, folder), { withFileTypes: true, recursive: true }).catch(
      () => [],
    );
    for (const entry of entries) {
      const path = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/');
      if (!entry.isFile() || path.includes('node_modules/')) continue;
      if (extensions.test(path) || commands.has(path)) paths.push(path);
    }
  }
  return await Promise.all(
    paths.toSorted().map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })),
  );
}

/** Every page of documentation, sorted by path. */
export async function readPages(root: string): Promise<SourceFile[]> {
  const paths = (await readdir(root)).filter((name) => name.endsWith('.md'));
  for (const folder of ['docs', 'examples', 'packages', 'os']) {
    const entries = await readdir(join(root, folder), { withFileTypes: true, recursive: true }).catch(
      () => [],
    );
    for (const entry of entries) {
      const path = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/');
      if (entry.isFile() && path.endsWith('.md') && !path.includes('node_modules/')) paths.push(path);
    }
  }
  return await Promise.all(
    paths.toSorted().map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })),
  );
}
