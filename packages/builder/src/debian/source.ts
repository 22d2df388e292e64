// SPDX-License-Identifier: Apache-2.0
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import { Apt, keyringOf } from './apt.ts';
import { parseControl } from '@mbl/formats';
import type { LockedSource } from '../recipes/lock.ts';
import { Downloads, fileName, type ObtainOptions } from './downloads.ts';
import { type DebianMirrors, findMirrors } from './mirror.ts';
import { compareVersions } from './version.ts';

export interface SourceOptions extends ObtainOptions {
  /** The cache folder (downloads and apt's state). */
  readonly cache: string;
  /** Default: found on this machine. */
  readonly mirrors?: DebianMirrors;
  /** Keys that must have signed the indexes. Default: Debian's. */
  readonly keyring?: string;
}

/** The newest version of a source package in `suite`, by the mirror's signed index. Throws `builder/unknown-package`. */
export const resolveSource = async (
  name: string,
  suite: string,
  options: SourceOptions,
): Promise<LockedSource> => {
  const mirrors = options.mirrors ?? (await findMirrors());
  const { cache, signal } = options;
  const apt = new Apt({
    cache,
    mirrors,
    suite,
    kind: 'source',
    architecture: 'arm64',
    ...keyringOf(options),
    signal,
  });
  // --only-source: `apt-cache showsrc` also answers for binary packages of that name.
  const shown = await apt.run('apt-cache', ['showsrc', '--only-source', name], true);
  const versions = parseControl(shown.stdout.toString()).filter((stanza) => stanza.get('Package') === name);
  let newest = versions[0];
  for (const other of versions.slice(1))
    if (newest && compareVersions(other.get('Version') ?? '', newest.get('Version') ?? '') > 0)
      newest = other;
  if (!newest)
    throw new MblError('builder/unknown-package', `Debian ${suite} has no source package "${name}".`, {
      remedy: 'Correct the name in the firmware recipe, or give another suite.',
    });
  const folder = newest.get('Directory') ?? '';
  const files = (newest.get('Checksums-Sha256') ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length === 3 && !/[/]/.test(fields[2] ?? '/'))
    .map(([sha256 = '', size = '', file = '']) => ({
      path: `${folder}/${file}`,
      sha256,
      size: Number(size),
    }));
  return { name, version: newest.get('Version') ?? '', suite, files };
};

/** The paths (by file name) of a source package's files in the cache, fetched when needed, hashes checked. Works offline when cached. */
export const downloadSource = async (
  source: LockedSource,
  options: SourceOptions,
): Promise<Map<string, string>> => {
  const { cache, signal } = options;
  const downloads = new Downloads(join(cache, 'downloads'));
  const found = await downloads.obtain(
    source.files,
    async (missing) => {
      const mirrors = options.mirrors ?? (await findMirrors());
      const apt = new Apt({
        cache,
        mirrors,
        suite: source.suite,
        kind: 'source',
        architecture: 'arm64',
        ...keyringOf(options),
        signal,
      });
      await apt.fetcher()(missing);
    },
    options,
  );
  return new Map([...found].map(([file, path]) => [fileName(file), path]));
};

/**
 * Unpacks into `target` (which must not exist) as the source package says, with Debian's patches applied. `dpkg-source` runs on the
 * files' own names, so they are laid side by side in `work` first. The signature that counts is the index's, not the one in the `.dsc`.
 */
export const unpackSource = async (
  paths: ReadonlyMap<string, string>,
  work: string,
  target: string,
  signal?: AbortSignal,
): Promise<void> => {
  await mkdir(work, { recursive: true });
  for (const [name, path] of paths) await copyFile(path, join(work, name));
  const dsc = [...paths.keys()].find((name) => name.endsWith('.dsc'));
  if (!dsc) throw new MblError('builder/bad-source', 'The source package has no .dsc file.');
  // By perl, which finds it on the search path: the script's first line names the host's perl.
  await runCommand('perl', ['-S', 'dpkg-source', '--no-check', '-x', join(work, dsc), target], { signal });
};
