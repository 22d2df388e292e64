// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseControl, type Stanza } from '@mbl/formats';
import { readDeb } from './deb.ts';
import type { Apt } from './apt.ts';
import type { LockedPackage } from '../recipes/lock.ts';

/** What apt looks at in an installed package. Neither `Essential` nor `Protected`: what nobody asks for goes. */
const fields = [
  'Package',
  'Version',
  'Architecture',
  'Multi-Arch',
  'Pre-Depends',
  'Depends',
  'Conflicts',
  'Breaks',
  'Replaces',
  'Provides',
];

/** A system as apt sees it, in files of its own. */
export interface InstalledSystem extends AsyncDisposable {
  /** Options of apt programs that make them see it. */
  readonly options: readonly string[];
}

/**
 * Makes apt believe that `packages` are installed; those in `asked` by somebody, the others for their sake. Their control files come from
 * the index where it still describes that very file, or else from the package itself, which `fetch` brings.
 */
export async function pretendInstalled(
  apt: Apt,
  packages: readonly LockedPackage[],
  asked: ReadonlySet<string>,
  fetch: (missing: readonly LockedPackage[]) => Promise<ReadonlyMap<string, string>>,
): Promise<InstalledSystem> {
  const controls = await findControls(apt, packages, fetch);
  const folder = await mkdtemp(join(tmpdir(), 'mbl-installed-'));
  const { architecture } = apt.options;
  const status = controls.map((control) => {
    const lines = fields.flatMap((field) => {
      const value = control.get(field);
      return value === undefined ? [] : [`${field}: ${value.replaceAll('\n', ' ')}`];
    });
    return [...lines, 'Status: install ok installed', '', ''].join('\n');
  });
  const automatic = packages
    .filter(({ name }) => !asked.has(name))
    .map(({ name }) => `Package: ${name}\nArchitecture: ${architecture}\nAuto-Installed: 1\n\n`);
  await writeFile(join(folder, 'status'), status.join(''));
  await writeFile(join(folder, 'extended_states'), automatic.join(''));
  return {
    options: [
      `Dir::State::status=${folder}/status`,
      `Dir::State::extended_states=${folder}/extended_states`,
      // A cache that was made for another status.
      'Dir::Cache::pkgcache=',
      'pkgCacheGen::Essential=none',
      'APT::Protect-Kernels=false',
      'APT::AutoRemove::RecommendsImportant=false',
      'APT::AutoRemove::SuggestsImportant=false',
    ].flatMap((option) => ['-o', option]),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function findControls(
  apt: Apt,
  packages: readonly LockedPackage[],
  fetch: (missing: readonly LockedPackage[]) => Promise<ReadonlyMap<string, string>>,
): Promise<Stanza[]> {
  if (packages.length === 0) return [];
  const shown = await apt.run(
    'apt-cache',
    ['show', '--all-versions', ...packages.map(({ name }) => name)],
    true,
  );
  const known = new Map(
    parseControl(shown.stdout.toString()).map((stanza) => [stanza.get('SHA256'), stanza]),
  );
  const missing = packages.filter(({ sha256 }) => !known.has(sha256));
  const paths = missing.length > 0 ? await fetch(missing) : new Map<string, string>();
  return Promise.all(
    packages.map(async ({ name, sha256 }) => {
      const path = paths.get(name);
      return known.get(sha256) ?? (await readDeb(path ?? '', name, apt.options.signal)).control;
    }),
  );
}
