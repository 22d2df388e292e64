// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { MetadataSigner } from '../tuf/keys.ts';
import { addSignature, type AnyMetadata, bytesToSign } from '../tuf/metadata.ts';
import { verifyDelegate } from '../tuf/trusted-metadata.ts';
import { authorityOf, nextRoot, nextTargets, ofKind, type RepositoryState, topRoles } from './roles.ts';

/** How far a staged role is. */
export interface Progress {
  readonly role: string;
  readonly version: number;
  /** Keys whose signatures count, and how many must. */
  readonly signatures: number;
  readonly threshold: number;
  /** Whether it is signed by as many as must: for a root, of its own keys and of those before. */
  readonly complete: boolean;
}

/** Puts the signatures of all `signers` that may sign onto the staged roles (only `role`, where it is given). Returns how many it put. */
export async function signStaged(
  state: RepositoryState,
  signers: readonly MetadataSigner[],
  role?: string,
): Promise<number> {
  let count = 0;
  for (const [name, metadata] of state.staged) {
    if (role !== undefined && role !== name) continue;
    count += await signMetadata(metadata, allowed(state, name), signers);
  }
  return count;
}

/** Signs with those of `signers` whose ids are in `ids`. */
export async function signMetadata(
  metadata: AnyMetadata,
  ids: ReadonlySet<string>,
  signers: readonly MetadataSigner[],
): Promise<number> {
  const able = signers.filter(({ key }) => ids.has(key.id));
  const bytes = bytesToSign(metadata);
  for (const { key, signer } of able) addSignature(metadata, key.id, await signer.sign(bytes));
  return able.length;
}

/**
 * Puts a signature that was made elsewhere onto a staged role. Throws `release/nothing-staged`, `release/foreign-key` for a key that the
 * role does not know, `release/bad-signature` for one that is not over these bytes.
 */
export function attachSignature(
  state: RepositoryState,
  role: string,
  keyId: string,
  signature: Uint8Array,
): void {
  const metadata = stagedRole(state, role);
  if (!allowed(state, role).has(keyId)) {
    throw new MblError(
      'release/foreign-key',
      `The key ${keyId.slice(0, 16)} may not sign the role ${role}.`,
      {
        remedy: 'See who may with: ./mbl release show',
        details: { role, key: keyId },
      },
    );
  }
  const before = metadata.signatures[keyId];
  addSignature(metadata, keyId, signature);
  const key = publicKeys(state).find(({ keyID }) => keyID === keyId);
  try {
    key?.verifySignature(metadata);
  } catch (cause) {
    if (before === undefined) delete metadata.signatures[keyId];
    else metadata.signatures[keyId] = before;
    throw new MblError(
      'release/bad-signature',
      `This is no signature of the key over the staged role ${role}.`,
      {
        cause,
        remedy: `Export what is to be signed once more: ./mbl release sign --role ${role} --export FILE`,
        details: { role, key: keyId },
      },
    );
  }
}

/** What is to be signed of a staged role, byte for byte. Throws `release/nothing-staged`. */
export function exportToSign(state: RepositoryState, role: string): Buffer {
  return bytesToSign(stagedRole(state, role));
}

/** How far each staged role is. */
export function progressOf(state: RepositoryState): Progress[] {
  const staged = [...state.staged].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return staged.map(([role, metadata]) => {
    const { keyIds, threshold } = authorityOf(state, role);
    const valid = new Set(
      publicKeys(state)
        .filter((key) => isSigned(() => key.verifySignature(metadata)))
        .map(({ keyID }) => keyID),
    );
    return {
      role,
      version: metadata.signed.version,
      signatures: keyIds.filter((id) => valid.has(id)).length,
      threshold,
      complete: isComplete(state, role, metadata),
    };
  });
}

/** Whether clients would accept it, given the roles above as they will be. */
export function isComplete(state: RepositoryState, role: string, metadata: AnyMetadata): boolean {
  const above = (topRoles as readonly string[]).includes(role) ? nextRoot(state) : nextTargets(state);
  const before = role === 'root' ? ofKind(state.published, 'root', 'root') : undefined;
  return [above, before].every(
    (delegator) => delegator === undefined || isSigned(() => verifyDelegate(delegator, role, metadata)),
  );
}

function stagedRole(state: RepositoryState, role: string): AnyMetadata {
  const metadata = state.staged.get(role);
  if (metadata !== undefined) return metadata;
  throw new MblError('release/nothing-staged', `Nothing of the role ${role} waits for a signature.`, {
    remedy: 'See what does with: ./mbl release show',
    details: { role },
  });
}

/** The ids of keys whose signatures count for a role; for a root also those of the root before. */
function allowed(state: RepositoryState, role: string): Set<string> {
  const ids = new Set(authorityOf(state, role).keyIds);
  if (role === 'root')
    for (const id of ofKind(state.published, 'root', 'root')?.signed.roles['root']?.keyIDs ?? []) ids.add(id);
  return ids;
}

function publicKeys(state: RepositoryState) {
  return [
    ...Object.values(ofKind(state.published, 'root', 'root')?.signed.keys ?? {}),
    ...Object.values(nextRoot(state).signed.keys),
    ...Object.values(nextTargets(state)?.signed.delegations?.keys ?? {}),
  ];
}

function isSigned(verify: () => void): boolean {
  try {
    verify();
    return true;
  } catch {
    return false;
  }
}
