// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import type { LockedNpm } from '../recipes/lock.ts';

/** npm takes a word for a list of one. */
type Words = string | readonly string[];

interface Entry {
  readonly version?: string;
  readonly name?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly os?: Words;
  readonly cpu?: Words;
  readonly libc?: Words;
}

/**
 * The npm packages that a `package-lock.json` (version 3) installs for running the workbench on Linux, x64 and arm64: no development
 * dependencies, none of other platforms. Each version once.
 */
export async function runtimePackages(path: string): Promise<LockedNpm[]> {
  const { packages } = JSON.parse(await readFile(path, 'utf8')) as { packages: Record<string, Entry> };
  const found = new Map<string, LockedNpm>();
  for (const [place, entry] of Object.entries(packages)) {
    const { version, integrity, link, dev } = entry;
    if (version === undefined || integrity === undefined || link === true || dev === true) continue;
    if (!runsHere(entry.os, ['linux']) || !runsHere(entry.cpu, ['x64', 'arm64'])) continue;
    if (!runsHere(entry.libc, ['glibc'])) continue;
    const name = entry.name ?? place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
    found.set(integrity, { name, version, integrity });
  }
  return [...found.values()];
}

/** npm's rule for `os`, `cpu` and `libc`: one of the list, or none that the list excludes with `!`. */
function runsHere(words: Words | undefined, ours: readonly string[]): boolean {
  if (words === undefined) return true;
  const list = [words].flat();
  return ours.some(
    (one) => list.includes(one) || (list.every((each) => each.startsWith('!')) && !list.includes(`!${one}`)),
  );
}
