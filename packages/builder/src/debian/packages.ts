// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { Apt, keyringOf } from './apt.ts';
import { parseControl, type Stanza } from '@mbl/formats';
import type { LockedPackage } from '../recipes/lock.ts';
import { Downloads, type ObtainOptions } from './downloads.ts';
import { pretendInstalled } from './installed.ts';
import { type DebianMirrors, findMirrors, isSecurityFile } from './mirror.ts';

export type Architecture = 'arm64' | 'amd64';

export interface PackageRequest {
  /** `trixie`; its `-updates` and `-security` come with it. */
  readonly suite: string;
  readonly architecture: Architecture;
  /** Package names; `name-` keeps a package out that a dependency's first choice would bring. */
  readonly packages: readonly string[];
}

export interface PackageOptions extends ObtainOptions {
  /** The cache folder (downloads and apt's state). */
  readonly cache: string;
  /** Default: found on this machine. */
  readonly mirrors?: DebianMirrors;
  /** Keys that must have signed the indexes. Default: Debian's. */
  readonly keyring?: string;
}

/**
 * What apt would install on an empty system for a request: the packages and their dependencies, no recommends. Sorted by name.
 *
 * `locked` is an earlier answer, perhaps to another request: its packages stay at their versions for as long as they serve the request;
 * what nothing needs any more goes, and what is missing comes at its newest version.
 *
 * Throws `builder/unknown-package`, `builder/unmet-dependencies`, what `Apt.update` throws, and what `downloadPackages` throws about
 * packages of `locked` that the index does not describe any more.
 */
export const resolvePackages = async (
  request: PackageRequest,
  options: PackageOptions,
  locked: readonly LockedPackage[] = [],
): Promise<LockedPackage[]> => {
  const mirrors = options.mirrors ?? (await findMirrors());
  const { suite, architecture, packages } = request;
  for (const name of packages) if (!/^[a-z0-9][a-z0-9+.-]*$/.test(name)) throw unknownPackage(name, suite);
  if (packages.length === 0) return [];
  options.progress?.(undefined, `resolving ${packages.length} packages`);
  const { cache, signal } = options;
  const apt = new Apt({ cache, mirrors, suite, architecture, kind: 'binary', ...keyringOf(options), signal });
  await using installed = await pretendInstalled(apt, locked, new Set(packages), (missing) =>
    downloadPackages(missing, request, { ...options, mirrors }),
  );
  const found = new Map(locked.map((entry) => [entry.name, entry]));
  const added = packages.filter((name) => !found.has(name));
  const tidy = ['--auto-remove', '--allow-remove-essential'];
  const args = [...installed.options, 'install', '--simulate', '--yes', ...tidy, ...added];
  const simulated = await apt.run('apt-get', args, true);
  if (simulated.status !== 0) throw solverError(simulated.stderr + simulated.stdout.toString(), suite);
  const plan = simulated.stdout.toString();
  for (const [, name = ''] of plan.matchAll(/^(?:Remv|Purg) (\S+)/gm)) found.delete(name.replace(/:.*/, ''));
  // "Inst name [installed version] (version origin [arch])"
  const chosen = [...plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+) [^)]*\[(\w+)\]\)/gm)].map(
    ([, name = '', version = '']) => [name.replace(/:.*/, ''), version] as const,
  );
  // apt would rather take out what is installed than refuse what conflicts with it. Without the lock it says what is wrong, or finds a way.
  if (packages.some((name) => !added.includes(name) && !found.has(name)))
    return resolvePackages(request, options);
  for (const [name, entry] of await describe(apt, chosen)) found.set(name, entry);
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
};

/** The index's entries of packages in these versions, by name. */
const describe = async (
  apt: Apt,
  chosen: readonly (readonly [name: string, version: string])[],
): Promise<Map<string, LockedPackage>> => {
  const found = new Map<string, LockedPackage>();
  if (chosen.length === 0) return found;
  const names = chosen.map(([name, version]) => `${name}=${version}`);
  const shown = await apt.run('apt-cache', ['show', ...names]);
  for (const stanza of parseControl(shown.stdout.toString())) {
    const parsed = fromStanza(stanza, apt.options.suite);
    // The same version may stand in two archives (a security update that a point release took over): the first is apt's choice.
    if (parsed && !found.has(parsed.name)) found.set(parsed.name, parsed);
  }
  const lost = chosen.flatMap(([name]) => (found.has(name) ? [] : [name]));
  if (lost.length > 0)
    throw new MblError('builder/mirror', `The index of the mirror does not describe ${lost.join(', ')}.`, {
      remedy: 'Run the build again; if it stays, use another mirror (MBL_DEBIAN_MIRROR).',
    });
  return found;
};

/** The cache paths of packages, by package name, each checked by hash; missing ones are fetched. Works offline when all are cached. */
export const downloadPackages = async (
  packages: readonly LockedPackage[],
  request: Pick<PackageRequest, 'suite' | 'architecture'>,
  options: PackageOptions,
): Promise<Map<string, string>> => {
  const { cache, signal } = options;
  const found = await new Downloads(join(cache, 'downloads')).obtain(
    packages,
    async (missing) => {
      const mirrors = options.mirrors ?? (await findMirrors());
      const apt = new Apt({ cache, mirrors, ...request, kind: 'binary', ...keyringOf(options), signal });
      await apt.fetcher()(missing);
    },
    options,
  );
  return new Map([...found].map(([file, path]) => [file.name, path]));
};

const fromStanza = (stanza: Stanza, suite: string): LockedPackage | undefined => {
  const name = stanza.get('Package');
  const version = stanza.get('Version');
  const sha256 = stanza.get('SHA256');
  const path = stanza.get('Filename')?.replace(/^\.\//, '');
  if (!name || !version || !sha256 || !path) return undefined;
  const source = /^(\S+)(?:\s+\((\S+)\))?/.exec(stanza.get('Source') ?? '');
  return {
    name,
    version,
    architecture: stanza.get('Architecture') ?? 'all',
    suite: isSecurityFile({ path }) ? `${suite}-security` : suite,
    path,
    sha256,
    size: Number(stanza.get('Size')),
    ...(source ? { source: `${source[1]} ${source[2] ?? version}` } : {}),
  };
};

const unknownPackage = (name: string, suite: string): MblError =>
  new MblError('builder/unknown-package', `Debian ${suite} has no package "${name}".`, {
    remedy: `Correct the name in the image or the layer; apt-cache search lists names on a machine with that suite.`,
    details: { package: name },
  });

const solverError = (text: string, suite: string): MblError => {
  const unknown = /Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate/.exec(
    text,
  );
  if (unknown) return unknownPackage(unknown[1] ?? unknown[2] ?? '', suite);
  const errors = text.split('\n').filter((line) => /^E: |Depends:|Conflicts:|Breaks:/.test(line));
  return new MblError(
    'builder/unmet-dependencies',
    `apt cannot install these packages together:\n${errors.join('\n')}`,
    {
      remedy: 'Take one of the packages named above out of the image or the layer.',
    },
  );
};
