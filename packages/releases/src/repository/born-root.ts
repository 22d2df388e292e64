// SPDX-License-Identifier: Apache-2.0
import { TrustedMetadata } from '../tuf/trusted-metadata.ts';
import type { MetadataSigner } from '../tuf/keys.ts';
import { formatMetadata, readMetadata } from '../tuf/metadata.ts';
import { firstRoot, initialise } from './edit.ts';
import type { RepositoryState, TopRole } from './roles.ts';
import { signMetadata } from './sign.ts';

type Signers = Readonly<Record<TopRole, MetadataSigner>>;

/** The signed first root of a team: devices are born with it, and every repository of the team begins with it. */
export async function makeBornRoot(signers: Signers, now: Date): Promise<Buffer> {
  const root = firstRoot(keysOf(signers), now);
  await signMetadata(root, new Set([signers.root.key.id]), [signers.root]);
  return formatMetadata(root);
}

/** Begins a repository with the root that devices are born with. Throws `release/bad-metadata`, `release/unsigned`. */
export function beginRepository(state: RepositoryState, signers: Signers, root: Uint8Array, now: Date): void {
  TrustedMetadata.open(root, now);
  initialise(state, keysOf(signers), now, readMetadata('root', root, 'root'));
}

function keysOf({ root, targets, snapshot, timestamp }: Signers) {
  return { root: root.key, targets: targets.key, snapshot: snapshot.key, timestamp: timestamp.key };
}
