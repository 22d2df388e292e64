// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey } from 'node:crypto';
import { MblError } from '../errors.ts';
import { imageKeyNames, type KeyName } from './catalogue.ts';
import { indexFileName, type KeyProfile } from './index-file.ts';
import type { KeySet } from './key-set.ts';

/** Public keys of an image's key set by name, in PEM. */
export type PublicKeys = Readonly<Record<(typeof imageKeyNames)[number], string>>;

/** The public keys of those that sign an image. A token is asked for them. */
export async function imagePublicKeys(
  keys: Readonly<Record<KeyName, { publicKey(): Promise<string> }>>,
): Promise<PublicKeys> {
  const entries = await Promise.all(
    imageKeyNames.map(async (name) => [name, await keys[name].publicKey()] as const),
  );
  return Object.fromEntries(entries) as PublicKeys;
}

/** Binds a profile to the keys that sign an image: SHA-256, hex. No secret: it finds mistakes, not who forges his own keys. */
export function sealOf(profile: KeyProfile, publicKeys: PublicKeys): string {
  const hash = createHash('sha256').update(`mbl key set\0${profile}\0`);
  for (const name of imageKeyNames)
    hash.update(createPublicKey(publicKeys[name]).export({ type: 'spki', format: 'der' }));
  return hash.digest('hex');
}

/**
 * The profile of a key set, held against its keys: who copied `keys.json` to other keys, put other keys beside it or changed a word finds
 * out before they sign. A file without a seal is taken at its word. Throws `keys/profile-changed`.
 */
export function confirmProfile({ dir, profile, seal }: KeySet, publicKeys: PublicKeys): KeyProfile {
  if (seal === undefined || seal === sealOf(profile, publicKeys)) return profile;
  throw new MblError(
    'keys/profile-changed',
    `${dir}/${indexFileName} was made for other keys, or its profile was not "${profile}"`,
    {
      remedy: `Restore the folder from a backup. For production keys that were replaced on purpose: take "profile" and "seal" out of ${indexFileName}, which then counts as production's.`,
      details: { dir },
    },
  );
}
