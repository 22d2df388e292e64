// SPDX-License-Identifier: Apache-2.0
//
// The signed manifests of Pelion Device Management, for devices that still run its client: what is to be installed where, by whose word. The schemas
// are those of its manifest-tool 2.6.
import { createHash, type KeyObject, timingSafeEqual, verify, X509Certificate } from 'node:crypto';
import { type DerElement, derError, expectTag, readChildren, readDer, tags } from './der.ts';
import { MblError } from './errors.ts';

const enumerated = 0x0a;
/** What a server that encrypts appends behind the signature: `[1] IMPLICIT OCTET STRING`. */
const encryptionKey = 0x81;

/** Of schema 3. Delta: a patch from `precursorDigest`. */
export type PayloadFormat = 'raw' | 'delta' | 'combined' | 'encrypted-raw' | 'encrypted-combined';

const formatsOf3: ReadonlyMap<number, PayloadFormat> = new Map([
  [1, 'raw'],
  [5, 'delta'],
  [6, 'combined'],
  [257, 'encrypted-raw'],
  [262, 'encrypted-combined'],
]);

export interface PelionPayload {
  readonly uri: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256, hex. */
  readonly digest: string;
  readonly format: PayloadFormat;
  /** Of what is installed, where the payload is not that itself; digests are SHA-256 in hex. */
  readonly installed?: { readonly size: number; readonly digest: string; readonly precursorDigest?: string };
}

/** What either schema says. Identifiers are 32 hex digits. */
export interface PelionManifest {
  readonly schema: 1 | 3;
  readonly vendorId: string;
  readonly classId: string;
  /** Schema 1: a time in seconds, which must grow; schema 3: `major.minor.patch`. */
  readonly version: string;
  /** Where it goes; '' in schema 1, which knows one place. */
  readonly component: string;
  /** For the device's application. */
  readonly priority: number;
  readonly payload: PelionPayload;
  /** For the device, as it is. */
  readonly vendorData: Uint8Array;
}

/**
 * Reads a manifest of schema 3 that a key signed: ECDSA P-256 with SHA-256, r and s in 32 bytes each, over the DER of the manifest. Throws
 * `trust/malformed`, `trust/bad-signature`.
 */
export function readManifest3(bytes: Uint8Array, key: KeyObject): PelionManifest {
  const [version, manifest, signature, ...more] = readChildren(readDer(bytes, tags.sequence));
  if (number(version, enumerated) !== 3) throw derError('not a manifest of schema 3');
  if (more.length > 1 || (more[0] !== undefined && more[0].tag !== encryptionKey))
    throw derError('something behind the signature');
  const signed = expectTag(manifest, tags.sequence);
  const { content } = expectTag(signature, tags.octetString);
  if (!verify('sha256', signed.raw, { key, dsaEncoding: 'ieee-p1363' }, content)) throw badSignature();
  const rest = readChildren(signed);
  const take = (): DerElement | undefined => rest.shift();
  const [vendorId, classId] = [identifier(take()), identifier(take())];
  const priority = number(take(), tags.integer);
  const component = text(take(), 8);
  const payloadVersion = text(take(), 11);
  if (!/^\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(payloadVersion)) throw derError('version of a payload');
  const [digest, size, uri] = [hash(take()), number(take(), tags.integer), text(take(), 255)];
  const format = formatsOf3.get(number(take(), enumerated));
  if (format === undefined) throw derError('format of a payload');
  // Over what is installed, by the device's own check; empty or r and s.
  const { length } = octets(take());
  if (length !== 0 && length !== 64) throw derError('length of a signature');
  const metadata = rest[0]?.tag === tags.sequence ? readMetadata(take()) : undefined;
  const vendorData = rest.length === 0 ? new Uint8Array() : octets(take());
  if (rest.length > 0) throw derError('something behind the manifest');
  return {
    schema: 3,
    vendorId,
    classId,
    version: payloadVersion,
    component,
    priority,
    payload: { uri, size, digest, format, ...(metadata === undefined ? {} : { installed: metadata }) },
    vendorData,
  };
}

/**
 * Reads a manifest of schema 1 that an update certificate signed: ECDSA P-256 in DER over the resource, whose digest is beside it. Whether the
 * certificate may, and whether its time matters, is its owner's affair. Throws `trust/malformed`, `trust/bad-signature`.
 */
export function readManifest1(bytes: Uint8Array, certificate: X509Certificate): PelionManifest {
  const [resource, outer, ...more] = readChildren(readDer(bytes, tags.sequence));
  if (more.length > 0) throw derError('something behind the signature');
  const signed = expectTag(resource, tags.sequence);
  const [digest, signatures] = readChildren(expectTag(outer, tags.sequence));
  const real = createHash('sha256').update(signed.raw).digest();
  const claimed = octets(digest);
  if (claimed.length !== real.length || !timingSafeEqual(claimed, real)) throw badSignature();
  const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  const ours = readChildren(expectTag(signatures, tags.sequence)).some((one) => {
    const [signature, certificates] = readChildren(expectTag(one, tags.sequence));
    const [first] = readChildren(expectTag(certificates, tags.sequence));
    const [by, where] = readChildren(expectTag(first, tags.sequence));
    // For whoever has to find the certificate; nothing follows from it.
    if (where !== undefined) expectTag(where, tags.utf8String);
    return hash(by) === fingerprint && verify('sha256', signed.raw, certificate.publicKey, octets(signature));
  });
  if (!ours) throw badSignature();
  const parts = readChildren(signed);
  if (parts[0]?.tag === tags.utf8String) parts.shift();
  if (number(parts.shift(), enumerated) !== 0) throw derError('the resource is no manifest');
  return readBody1(expectTag(parts.shift(), tags.sequence));
}

function readBody1(manifest: DerElement): PelionManifest {
  const rest = readChildren(manifest);
  const take = (): DerElement | undefined => rest.shift();
  const optional = (tag: number): DerElement | undefined => (rest[0]?.tag === tag ? take() : undefined);
  if (number(take(), enumerated) !== 1) throw derError('not a manifest of schema 1');
  optional(tags.utf8String);
  const version = String(number(take(), tags.integer));
  const [vendorId, classId] = [identifier(take()), identifier(take())];
  // Device and nonce: the client that MBL had made nothing of them.
  octets(take());
  octets(take());
  const vendorData = octets(take());
  optional(tags.octetString);
  optional(tags.sequence);
  expectTag(take(), tags.boolean);
  const priority = rest[0]?.tag === tags.integer ? number(take(), tags.integer) : 0;
  // none-ecc-secp256r1-sha256(2) is signed and not encrypted.
  if (number(take(), enumerated) !== 2) throw derError('mode of encryption');
  for (const what of ['aliases', 'dependencies'])
    if (readChildren(expectTag(take(), tags.sequence)).length > 0)
      throw derError(`${what}, which no client takes`);
  const payload = readChildren(expectTag(take(), tags.sequence));
  if (number(payload[0], enumerated) !== 1) throw derError('format of a payload');
  const reference = payload.find(({ tag }) => tag === tags.sequence);
  const [digest, ...where] = readChildren(expectTag(reference, tags.sequence));
  const uri = where[0]?.tag === tags.utf8String ? text(where.shift(), 255) : '';
  const size = number(where[0], tags.integer);
  return {
    schema: 1,
    vendorId,
    classId,
    version,
    component: '',
    priority,
    payload: { uri, size, digest: hash(digest), format: 'raw' },
    vendorData,
  };
}

function readMetadata(element: DerElement | undefined): NonNullable<PelionPayload['installed']> {
  const [size, digest, precursor, ...more] = readChildren(expectTag(element, tags.sequence));
  if (more.length > 0) throw derError('something behind the metadata of a payload');
  return {
    size: number(size, tags.integer),
    digest: hash(digest),
    ...(precursor === undefined ? {} : { precursorDigest: hash(precursor) }),
  };
}

function octets(element: DerElement | undefined): Uint8Array {
  return expectTag(element, tags.octetString).content;
}

function hex(element: DerElement | undefined, length: number): string {
  const content = octets(element);
  if (content.length !== length) throw derError(`${content.length} bytes in place of ${length}`);
  return Buffer.from(content).toString('hex');
}

const identifier = (element: DerElement | undefined): string => hex(element, 16);
const hash = (element: DerElement | undefined): string => hex(element, 32);

/** A number that is not below zero. */
function number(element: DerElement | undefined, tag: number): number {
  const { content } = expectTag(element, tag);
  const [first = 0x80] = content;
  if (content.length > 6 || first >= 0x80) throw derError('a number below zero or too large');
  return content.reduce((value, octet) => value * 256 + octet, 0);
}

function text(element: DerElement | undefined, most: number): string {
  const { content } = expectTag(element, tags.utf8String);
  if (content.length > most) throw derError(`a text of more than ${most} bytes`);
  try {
    const found = new TextDecoder('utf-8', { fatal: true }).decode(content);
    if (!/\p{Cc}/u.test(found)) return found;
  } catch {
    // Said below.
  }
  throw derError('a text that is none');
}

function badSignature(): MblError {
  return new MblError('trust/bad-signature', 'The manifest is not signed by the one who may.', {
    remedy: 'Sign it with the key whose certificate the device was made with.',
  });
}
