// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { readdir } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';

/** Test files that run in one process. */
export interface Suite {
  /** `packages/coap`, or `tests/device.story.ts`: also what to give to `mbl test` to run it alone. */
  readonly name: string;
  readonly files: readonly string[];
}

/** What a run of `mbl test` does. */
export interface Selection {
  readonly checks: boolean;
  readonly units: readonly Suite[];
  readonly stories: readonly Suite[];
}

const isUnit = (path: string) => /^(packages\/[^/]+\/src|tools)\/.*\.test\.ts$/.test(path);
const isStory = (path: string) => /^tests\/[^/]+\.story\.ts$/.test(path);

/**
 * What the words after `mbl test` mean: nothing, or `all`, is everything; `unit` the checks and the tests of packages and tools; `system` the stories; else a
 * test file, a folder of them, a package's name, or a story's name.
 */
export async function selectTests(
  root: string,
  words: readonly string[],
  cwd: string = process.cwd(),
): Promise<Selection> {
  const all = await listTests(root);
  if (words.length === 0 || words.includes('all'))
    return { checks: true, units: byPackage(all.filter(isUnit)), stories: each(all.filter(isStory)) };
  let checks = false;
  const chosen = new Set<string>();
  for (const word of words) {
    let found: string[];
    if (word === 'unit') {
      checks = true;
      found = all.filter(isUnit);
    } else if (word === 'system') {
      found = all.filter(isStory);
    } else {
      found = find(root, all, word, cwd);
    }
    for (const path of found) chosen.add(path);
  }
  const paths = [...chosen].toSorted();
  return { checks, units: byPackage(paths.filter(isUnit)), stories: each(paths.filter(isStory)) };
}

function find(root: string, all: readonly string[], word: string, cwd: string): string[] {
  const candidates = [
    relative(root, resolve(cwd, word)),
    isAbsolute(word) ? '' : word,
    `tests/${word}.story.ts`,
    `packages/${word}`,
  ];
  for (const candidate of candidates.map((path) => path.split(sep).join('/').replace(/\/$/, ''))) {
    if (candidate === '' || candidate.startsWith('..')) continue;
    const found = all.filter((path) => path === candidate || path.startsWith(`${candidate}/`));
    if (found.length > 0) return found;
  }
  throw new MblError('cli/unknown-test', `'${word}' is no test file, package or story`, {
    remedy:
      'Name a file as in: ./mbl test tests/device.story.ts; or a part: ./mbl test unit, ./mbl test system.',
    details: { word },
  });
}

async function listTests(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of ['packages', 'tools', 'tests']) {
    const entries = await readdir(join(root, folder), { withFileTypes: true, recursive: true }).catch(
      () => [],
    );
    for (const entry of entries) {
      const path = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/');
      if (entry.isFile() && !path.includes('node_modules/') && (isUnit(path) || isStory(path)))
        found.push(path);
    }
  }
  return found.toSorted();
}

function byPackage(paths: readonly string[]): Suite[] {
  const groups = Map.groupBy(paths, (path) => /^(?:packages\/)?[^/]+/.exec(path)?.[0] ?? path);
  return [...groups].map(([name, files]) =>
    files.length === 1 ? { name: files[0] ?? name, files } : { name, files },
  );
}

const each = (paths: readonly string[]): Suite[] => paths.map((path) => ({ name: path, files: [path] }));
