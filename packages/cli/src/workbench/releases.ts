// SPDX-License-Identifier: Apache-2.0
import { join, resolve } from 'node:path';
import {
  type LocalRelease,
  localReleases,
  type MetadataSigner,
  metadataSigner,
  ofKind,
  type RepositoryState,
  type TopRole,
  topRoles,
} from '@mbl/releases';
import { osTeam } from '@mbl/formats';
import { type KeySet, MblError, openSigner } from '@mbl/trust';
import type { Cli } from '../cli.ts';

/** The keys that sign metadata, of a key set. */
export async function setSigners({ keys }: KeySet): Promise<Readonly<Record<TopRole, MetadataSigner>>> {
  const signers = await Promise.all(
    topRoles.map(async (role) => [role, await metadataSigner(keys[`tuf-${role}`])] as const),
  );
  return Object.fromEntries(signers) as Record<TopRole, MetadataSigner>;
}

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

/** The releases of all teams, published or staged. */
export async function repositoryReleases(
  folder: string,
  { published, staged }: RepositoryState,
): Promise<LocalRelease[]> {
  const teams = new Set(
    [osTeam, ...published.keys(), ...staged.keys()].filter((role) => !topRoles.some((top) => top === role)),
  );
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
  return given === undefined ? join(workspace.state, 'releases') : resolve(given);
}
