// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { MetadataSigner } from '../tuf/keys.ts';
import { type AnyMetadata, formatMetadata, makeMetadata } from '../tuf/metadata.ts';
import { head } from './edit.ts';
import { authorityOf, nextRoot, ofKind, type RepositoryState, teamsOf } from './roles.ts';
import { isComplete, signMetadata } from './sign.ts';

export interface PublishOptions {
  readonly signers: readonly MetadataSigner[];
  readonly now: Date;
  /** How long snapshot and timestamp hold, in days. Default: 30. */
  readonly days?: number | undefined;
}

/** What publishing came to. */
export interface Published {
  /** Files below `metadata/`, in the order in which they are to be written. None while a role waits. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Roles that wait for signatures. */
  readonly waiting: readonly string[];
}

/**
 * Makes what is staged the repository's, all or nothing, when everything in it would be accepted by a client. Snapshot and timestamp are
 * made here and signed by `signers`; who lacks their keys leaves them staged for those who have them. Changes `state`.
 */
export async function publish(state: RepositoryState, options: PublishOptions): Promise<Published> {
  const nothing = (waiting: readonly string[]): Published => ({ files: new Map(), waiting });
  const roles = ['root', 'targets', ...teamsOf(state)];
  const next = new Map<string, AnyMetadata>();
  for (const role of roles) {
    const metadata = state.staged.get(role) ?? state.published.get(role);
    // A team that has signed nothing yet is not in the snapshot.
    if (metadata !== undefined) next.set(role, metadata);
  }
  const waiting = [...next]
    .filter(([role, metadata]) => !isComplete(state, role, metadata))
    .map(([role]) => role);
  if (waiting.length > 0) return nothing(waiting);
  const snapshot = await finish(state, 'snapshot', { meta: metaOf(state, next) }, options);
  if (!isComplete(state, 'snapshot', snapshot)) return nothing(['snapshot']);
  const content = formatMetadata(snapshot);
  const timestamp = await finish(
    state,
    'timestamp',
    { meta: { 'snapshot.json': describe(snapshot.signed.version, content) } },
    options,
  );
  if (!isComplete(state, 'timestamp', timestamp)) return nothing(['timestamp']);
  const files = new Map<string, Buffer>();
  // The timestamp is last: until it is there, clients see what was there before.
  const order = [...roles.slice(1).filter((role) => state.staged.has(role)), 'snapshot', 'root', 'timestamp'];
  for (const role of order) {
    const metadata = state.staged.get(role);
    if (metadata === undefined) continue;
    const name = role === 'timestamp' ? 'timestamp.json' : `${metadata.signed.version}.${role}.json`;
    files.set(name, formatMetadata(metadata));
    state.published.set(role, metadata);
    state.staged.delete(role);
  }
  return { files, waiting: [] };
}

/** The snapshot or timestamp that says `content`: the published one while it holds long enough, one that is staged, or a new one. */
async function finish(
  state: RepositoryState,
  role: 'snapshot' | 'timestamp',
  content: { meta: object },
  { signers, now, days }: PublishOptions,
): Promise<AnyMetadata> {
  const ids = new Set(authorityOf(state, role).keyIds);
  const says = ({ signed }: AnyMetadata) => isDeepStrictEqual(signed.toJSON()['meta'], content.meta);
  const published = state.published.get(role);
  const able = signers.some(({ key }) => ids.has(key.id));
  if (published !== undefined && says(published) && isComplete(state, role, published) && !able) {
    state.staged.delete(role);
    return published;
  }
  const staged = state.staged.get(role);
  const metadata =
    staged !== undefined && says(staged)
      ? staged
      : makeMetadata(role, { ...content, ...head(role, (published?.signed.version ?? 0) + 1, now, days) });
  state.staged.set(role, metadata);
  await signMetadata(metadata, ids, signers);
  return metadata;
}

/** What a snapshot says of each role; a role that once was in it stays (TUF 1.0.34 §5.5.5). */
function metaOf(state: RepositoryState, next: ReadonlyMap<string, AnyMetadata>): Record<string, object> {
  const before = ofKind(state.published, 'snapshot', 'snapshot')?.signed.meta ?? {};
  const meta: Record<string, object> = {};
  for (const [file, entry] of Object.entries(before)) meta[file] = entry.toJSON();
  for (const [role, metadata] of next)
    if (role !== 'root') meta[`${role}.json`] = describe(metadata.signed.version, formatMetadata(metadata));
  return meta;
}

function describe(version: number, content: Buffer): object {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { version, length: content.length, hashes: { sha256 } };
}

/** The root that clients are born with: the newest one that is published. */
export function bornRoot(state: RepositoryState): Buffer {
  return formatMetadata(ofKind(state.published, 'root', 'root') ?? nextRoot(state));
}
