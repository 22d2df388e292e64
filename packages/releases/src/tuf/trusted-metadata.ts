// SPDX-License-Identifier: Apache-2.0
import { type Metadata, type MetaFile, Root, type Snapshot, Targets, type Timestamp } from '@tufjs/models';
import { MblError } from '@mbl/trust';
import { type AnyMetadata, readMetadata } from './metadata.ts';

/**
 * What a client believes, one file after the other: the checks of TUF 1.0.34 §5, in its order, and nothing else. No file, no network:
 * it takes bytes, and one time for all of them (§5.1). Throws `release/bad-metadata`, `release/unsigned`, `release/rolled-back`,
 * `release/expired`, `release/wrong-content`; what threw changed nothing.
 */
export class TrustedMetadata {
  readonly #now: Date;
  readonly #targets = new Map<string, Metadata<Targets>>();
  #root: Metadata<Root>;
  #timestamp: Metadata<Timestamp> | undefined;
  #snapshot: Metadata<Snapshot> | undefined;

  private constructor(root: Metadata<Root>, now: Date) {
    this.#root = root;
    this.#now = now;
  }

  /** Starts from a root that came with the device (§5.2). It may have expired: the chain to a later one starts there all the same. */
  static open(bytes: Uint8Array, now: Date): TrustedMetadata {
    const root = readMetadata('root', bytes, 'root');
    verifyDelegate(root, 'root', root);
    return new TrustedMetadata(root, now);
  }

  get root(): Metadata<Root> {
    return this.#root;
  }

  get timestamp(): Metadata<Timestamp> | undefined {
    return this.#timestamp;
  }

  get snapshot(): Metadata<Snapshot> | undefined {
    return this.#snapshot;
  }

  targets(role: string): Metadata<Targets> | undefined {
    return this.#targets.get(role);
  }

  /** The next root (§5.3.4, §5.3.5): signed by the root before and by itself, and its version follows. */
  updateRoot(bytes: Uint8Array): void {
    const next = readMetadata('root', bytes, 'root');
    verifyDelegate(this.#root, 'root', next);
    const { version } = this.#root.signed;
    if (next.signed.version !== version + 1)
      throw rolledBack('root', `it has the version ${next.signed.version} after ${version}`);
    verifyDelegate(next, 'root', next);
    this.#root = next;
  }

  /** §5.4. False when it is the version that is known already: then the known one stays. */
  updateTimestamp(bytes: Uint8Array): boolean {
    // §5.3.10: only of the last root.
    this.#refuseExpired('root', this.#root);
    const next = readMetadata('timestamp', bytes, 'timestamp');
    verifyDelegate(this.#root, 'timestamp', next);
    if (this.#timestamp !== undefined) {
      const known = this.#timestamp.signed;
      if (next.signed.version < known.version)
        throw rolledBack('timestamp', `version ${next.signed.version} after ${known.version}`);
      if (next.signed.version === known.version) return false;
      const [before, after] = [known.snapshotMeta.version, next.signed.snapshotMeta.version];
      if (after < before) throw rolledBack('snapshot', `version ${after} after ${before}`);
    }
    // An old one that has expired still guards against older ones: whoever wants to go on asks `requireTimestamp`.
    this.#timestamp = next;
    return true;
  }

  /** The timestamp, if it holds (§5.4.4). */
  requireTimestamp(): Metadata<Timestamp> {
    if (this.#timestamp === undefined) throw missing('timestamp');
    this.#refuseExpired('timestamp', this.#timestamp);
    return this.#timestamp;
  }

  /** §5.5. `known`: it was accepted before, and its digest is that of an older timestamp. */
  updateSnapshot(bytes: Uint8Array, known = false): void {
    const { snapshotMeta } = this.requireTimestamp().signed;
    if (!known) verifyContent('snapshot', snapshotMeta, bytes);
    const next = readMetadata('snapshot', bytes, 'snapshot');
    verifyDelegate(this.#root, 'snapshot', next);
    for (const [file, { version }] of Object.entries(this.#snapshot?.signed.meta ?? {})) {
      const after = metaOf(next, file)?.version;
      if (after === undefined || after < version)
        throw rolledBack(file, `version ${after ?? 'none'} after ${version}`);
    }
    this.#snapshot = next;
  }

  /** The snapshot, if it is the timestamp's and holds (§5.5.4, §5.5.6). */
  requireSnapshot(): Metadata<Snapshot> {
    const { version } = this.requireTimestamp().signed.snapshotMeta;
    if (this.#snapshot === undefined) throw missing('snapshot');
    if (this.#snapshot.signed.version !== version)
      throw rolledBack(
        'snapshot',
        `version ${this.#snapshot.signed.version}, and the timestamp names ${version}`,
      );
    this.#refuseExpired('snapshot', this.#snapshot);
    return this.#snapshot;
  }

  /** What the snapshot says of a role's file. Throws `release/missing`. */
  meta(role: string): MetaFile {
    const meta = metaOf(this.requireSnapshot(), `${role}.json`);
    if (meta === undefined) throw missing(role);
    return meta;
  }

  /** §5.6, for `targets` (whose delegator is `root`) and for every role below it. */
  updateTargets(bytes: Uint8Array, role: string, delegator: string): void {
    const meta = this.meta(role);
    verifyContent(role, meta, bytes);
    const next = readMetadata('targets', bytes, role);
    this.verifyRole(role, delegator, next);
    if (next.signed.version !== meta.version)
      throw rolledBack(role, `version ${next.signed.version}, and the snapshot names ${meta.version}`);
    this.#refuseExpired(role, next);
    this.#targets.set(role, next);
  }

  /** Each path by which a role is reached has keys of its own: what one delegator vouched for, another one need not. */
  verifyRole(role: string, delegator: string, metadata: Metadata<Targets>): void {
    const above = delegator === 'root' ? this.#root : this.#targets.get(delegator);
    if (above === undefined) throw missing(delegator);
    verifyDelegate(above, role, metadata);
  }

  #refuseExpired(role: string, metadata: AnyMetadata): void {
    if (!metadata.signed.isExpired(this.#now)) return;
    throw new MblError('release/expired', `The metadata ${role} has expired: ${metadata.signed.expires}.`, {
      remedy: 'Sign it again with: ./mbl release sign. Or the clock is wrong.',
      details: { role, expires: metadata.signed.expires, now: this.#now.toISOString() },
    });
  }
}

/** Throws `release/unsigned` unless as many keys as the delegator asks for have signed. */
export function verifyDelegate(delegator: AnyMetadata, role: string, metadata: AnyMetadata): void {
  try {
    delegator.verifyDelegate(role, metadata);
  } catch (cause) {
    throw unsigned(role, cause instanceof Error ? cause.message : String(cause), cause);
  }
  refuseTwins(delegator, role);
}

/** A key that is there under two ids would count twice towards a threshold. */
function refuseTwins({ signed }: AnyMetadata, name: string): void {
  const delegations = signed instanceof Targets ? signed.delegations : undefined;
  const keys = signed instanceof Root ? signed.keys : delegations?.keys;
  const role =
    signed instanceof Root ? signed.roles[name] : (delegations?.roles?.[name] ?? delegations?.succinctRoles);
  const values = (role?.keyIDs ?? []).flatMap((id) => keys?.[id]?.keyVal['public'] ?? []);
  if (new Set(values).size < values.length) throw unsigned(name, 'one of its keys is listed twice');
}

function verifyContent(role: string, meta: MetaFile, bytes: Uint8Array): void {
  try {
    meta.verify(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (cause) {
    throw new MblError(
      'release/wrong-content',
      `The metadata ${role} is not the file that was signed for it.`,
      {
        cause,
        details: { role },
      },
    );
  }
}

function metaOf(snapshot: Metadata<Snapshot>, file: string): MetaFile | undefined {
  const { meta } = snapshot.signed;
  return Object.hasOwn(meta, file) ? meta[file] : undefined;
}

function unsigned(role: string, why: string, cause?: unknown): MblError {
  return new MblError('release/unsigned', `The metadata ${role} is not signed as it must be: ${why}.`, {
    cause,
    details: { role },
  });
}

function rolledBack(role: string, what: string): MblError {
  return new MblError('release/rolled-back', `The metadata ${role} goes back: ${what}.`, {
    details: { role },
  });
}

function missing(role: string): MblError {
  return new MblError('release/missing', `There is no metadata ${role}.`, { details: { role } });
}
