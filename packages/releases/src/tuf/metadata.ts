// SPDX-License-Identifier: Apache-2.0
import { canonicalize } from '@tufjs/canonical-json';
import {
  Metadata,
  MetadataKind,
  type Root,
  Signature,
  type Snapshot,
  type Targets,
  type Timestamp,
} from '@tufjs/models';
import { hasMoreValues } from '@mbl/formats';
import { MblError } from '@mbl/trust';

export type Kind = `${MetadataKind}`;

/** The signed part of each kind of metadata. */
export interface SignedOf {
  root: Root;
  targets: Targets;
  snapshot: Snapshot;
  timestamp: Timestamp;
}

export type AnyMetadata = Metadata<Root | Targets | Snapshot | Timestamp>;

/** The most bytes of each file: a mirror that sends more is cut off. Each is a hundred times what a fleet's repository has. */
export const mostBytes: Readonly<Record<Kind, number>> = {
  root: 128 * 1024,
  targets: 4 << 20,
  snapshot: 512 * 1024,
  timestamp: 16 * 1024,
};

/** The most values of a file, of all depths: who reads them has little memory, and what is not signed may consist of nothing else. */
const mostValues = 262_144;

/** Reads metadata of one kind from bytes of any origin; nothing is verified yet. `name` is for messages. Throws `release/bad-metadata`. */
export function readMetadata<K extends Kind>(
  kind: K,
  bytes: Uint8Array,
  name: string,
): Metadata<SignedOf[K]> {
  if (bytes.length > mostBytes[kind]) throw bad(name, `it has more than ${mostBytes[kind]} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (hasMoreValues(text, mostValues)) throw new TypeError(`it has more than ${mostValues} values`);
    const value: unknown = JSON.parse(text);
    const metadata = parse(kind, value) as Metadata<SignedOf[K]>;
    const { version } = metadata.signed;
    if (!Number.isSafeInteger(version) || version < 1)
      throw new TypeError('version must be a whole number from 1 on');
    // What cannot be written in canonical form cannot have been signed.
    bytesToSign(metadata);
    return metadata;
  } catch (cause) {
    throw bad(name, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Metadata of a kind from a signed part and signatures that this program made. Throws `release/bad-metadata`. */
export function makeMetadata<K extends Kind>(
  kind: K,
  signed: object,
  signatures: Readonly<Record<string, string>> = {},
): Metadata<SignedOf[K]> {
  const list = Object.entries(signatures).map(([keyid, sig]) => ({ keyid, sig }));
  return readMetadata(kind, Buffer.from(JSON.stringify({ signatures: list, signed })), kind);
}

/** The text of a metadata file. */
export function formatMetadata(metadata: AnyMetadata): Buffer {
  return Buffer.from(`${JSON.stringify(metadata.toJSON(), undefined, 1)}\n`);
}

/** What a signature is over: the canonical form (OLPC) of the signed part (TUF 1.0.34 §4.2.1). */
export function bytesToSign(metadata: AnyMetadata): Buffer {
  return Buffer.from(canonicalize(metadata.signed.toJSON()));
}

/** Puts a signature beside those that are there. */
export function addSignature(metadata: AnyMetadata, keyId: string, signature: Uint8Array): void {
  metadata.signatures[keyId] = new Signature({ keyID: keyId, sig: Buffer.from(signature).toString('hex') });
}

function parse(kind: Kind, value: unknown): AnyMetadata {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is no object');
  const data = value as Parameters<typeof Metadata.fromJSON>[1];
  if (kind === 'root') return Metadata.fromJSON(MetadataKind.Root, data);
  if (kind === 'targets') return Metadata.fromJSON(MetadataKind.Targets, data);
  if (kind === 'snapshot') return Metadata.fromJSON(MetadataKind.Snapshot, data);
  return Metadata.fromJSON(MetadataKind.Timestamp, data);
}

function bad(name: string, why: string, cause?: unknown): MblError {
  return new MblError('release/bad-metadata', `The metadata ${name} cannot be read: ${why}.`, {
    cause,
    details: { name },
  });
}
