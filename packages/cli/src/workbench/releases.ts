// SPDX-License-Identifier: Apache-2.0
import { link, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type LocalRelease,
  localReleases,
  makeBornRoot,
  type MetadataSigner,
  metadataSigner,
  ofKind,
  type RepositoryState,
  type TopRole,
  teamsOf,
  topRoles,
} from '@mbl/releases';
import { osTeam, readText } from '@mbl/formats';
import { type KeySet, MblError, openSigner, releaseRootFile } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { releasesFolder } from '../workspace.ts';

/** The keys that sign metadata, of a key set. */
export async function setSigners({ keys }: KeySet): Promise<Readonly<Record<TopRole, MetadataSigner>>> {
  const signers = await Promise.all(
    topRoles.map(async (role) => [role, await metadataSigner(keys[`tuf-${role}`])] as const),
  );
  return Object.fromEntries(signers) as Record<TopRole, MetadataSigner>;
}

/**
 * The root of releases that goes with a key set: devices are born with it, repositories begin with it. A file of the set, made where there is
 * none yet.
 */
export async function releaseRoot(keys: KeySet): Promise<Uint8Array> {
  const file = join(keys.dir, releaseRootFile);
  const known = await readText(file, maxRootBytes);
  if (known !== undefined) return Buffer.from(known);
  const root = await makeBornRoot(await setSigners(keys), new Date());
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, root, { flush: true });
  try {
    // Of two that make it at once, one root holds.
    await link(draft, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await rm(draft);
  }
  return Buffer.from((await readText(file, maxRootBytes)) ?? root);
}

const maxRootBytes = 128 * 1024;

/** The keys that `--key` names: files, or keys in a token. */
export async function namedSigners(
  { environment }: Cli,
  names: readonly string[],
  module: string | undefined,
): Promise<MetadataSigner[]> {
  const signers: MetadataSigner[] = [];
  for (const name of names) {
    if (name.startsWith('pkcs11:') && module === undefined)
      throw new MblError('cli/token-incomplete', 'A key in a token needs its module.', {
        remedy:
          'As in: --key "pkcs11:token=product;object=team" --pkcs11-module /usr/lib/softhsm/libsofthsm2.so',
      });
    const place = name.startsWith('pkcs11:')
      ? { pkcs11: name, module: module ?? '' }
      : { file: resolve(name) };
    signers.push(await metadataSigner(await openSigner(place, { environment: { ...environment } })));
  }
  return signers;
}

/** The releases of all teams that may sign, published or staged. */
export async function repositoryReleases(folder: string, state: RepositoryState): Promise<LocalRelease[]> {
  const { published, staged } = state;
  // Before the first signing nobody names any team.
  const teams = new Set([osTeam, ...teamsOf(state)]);
  const all: LocalRelease[] = [];
  for (const team of teams)
    all.push(
      ...(await localReleases(
        folder,
        ofKind(published, team, 'targets')?.signed,
        ofKind(staged, team, 'targets')?.signed,
      )),
    );
  return all;
}

/** The folder of the repository: the one that was named, or the workspace's own. */
export function repositoryFolder({ workspace }: Cli, given: string | undefined): string {
  return given === undefined ? releasesFolder(workspace) : resolve(given);
}
