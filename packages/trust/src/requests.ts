// SPDX-License-Identifier: Apache-2.0
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import {
  bitString,
  contextual,
  derError,
  expectTag,
  readBitString,
  readChildren,
  readDer,
  readOid,
  sequence,
  tags,
  toPem,
  unsignedInteger,
} from './der.ts';
import { MblError } from './errors.ts';
import { decodeName, encodeName, type SubjectName } from './names.ts';
import { algorithmOf, signatureAlgorithm, signWith } from './signer.ts';

/** A request as written: the same thing in two forms. */
export interface EncodedRequest {
  readonly der: Buffer;
  readonly pem: string;
}

/** A request whose signature was verified: its sender holds the private key. */
export interface CertificationRequest {
  readonly subject: SubjectName;
  readonly publicKey: KeyObject;
}

/** Writes a PKCS #10 request (RFC 2986) signed with `privateKey`. */
export function createRequest(privateKey: KeyObject, subject: SubjectName): EncodedRequest {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const info = sequence(unsignedInteger(Buffer.of(0)), encodeName(subject), spki, contextual(0));
  const algorithm = signatureAlgorithm(algorithmOf(privateKey));
  const bytes = sequence(info, algorithm, bitString(signWith(privateKey, info)));
  return { der: bytes, pem: toPem('CERTIFICATE REQUEST', bytes) };
}

/** Signature algorithm -> digest and the key type it needs. */
const signatureAlgorithms: Readonly<Record<string, readonly [digest: string | null, keyType: string]>> = {
  '1.2.840.10045.4.3.2': ['sha256', 'ec'],
  '1.2.840.10045.4.3.3': ['sha384', 'ec'],
  '1.2.840.10045.4.3.4': ['sha512', 'ec'],
  '1.2.840.113549.1.1.11': ['sha256', 'rsa'],
  '1.2.840.113549.1.1.12': ['sha384', 'rsa'],
  '1.2.840.113549.1.1.13': ['sha512', 'rsa'],
  '1.3.101.112': [null, 'ed25519'],
};

/**
 * Reads a PKCS #10 request (DER) and verifies that it is signed with the key it names. Accepts EC P-256, P-384, P-521, RSA of
 * 2048 to 4096 bits and Ed25519. Requested attributes are ignored: the issuer decides.
 *
 * Throws `trust/malformed`, `trust/unsupported-key` or `trust/proof-of-possession`.
 */
export function parseRequest(bytes: Uint8Array): CertificationRequest {
  const [info, algorithm, signature] = readChildren(readDer(bytes, tags.sequence));
  const [version, subject, spki] = readChildren(expectTag(info, tags.sequence));
  const { content: versionOctets } = expectTag(version, tags.integer);
  if (versionOctets.length !== 1 || versionOctets[0] !== 0) throw derError('version of the request');
  const publicKey = readPublicKey(expectTag(spki, tags.sequence).raw);
  const [algorithmId] = readChildren(expectTag(algorithm, tags.sequence));
  const [digest, keyType] = signatureAlgorithms[readOid(algorithmId)] ?? [];
  if (digest === undefined || keyType !== publicKey.asymmetricKeyType) {
    throw new MblError(
      'trust/proof-of-possession',
      'the request is signed with an algorithm that is not accepted',
    );
  }
  const signed = expectTag(info, tags.sequence).raw;
  if (!verifies(digest, signed, publicKey, readBitString(signature))) {
    throw new MblError('trust/proof-of-possession', 'the request is not signed with the key that it names');
  }
  return { subject: decodeName(subject), publicKey };
}

function verifies(digest: string | null, data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(digest, data, key, signature);
  } catch {
    return false;
  }
}

const curves: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1'];

function readPublicKey(spki: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new MblError('trust/malformed', 'the request holds no readable public key', { cause });
  }
  const details = key.asymmetricKeyDetails;
  const bits = details?.modulusLength ?? 0;
  const accepted =
    key.asymmetricKeyType === 'ed25519' ||
    (key.asymmetricKeyType === 'ec' && curves.includes(details?.namedCurve)) ||
    (key.asymmetricKeyType === 'rsa' && bits >= 2048 && bits <= 4096);
  if (!accepted) {
    throw new MblError(
      'trust/unsupported-key',
      'the key of the request is too weak or of a type that is not accepted',
      {
        remedy: 'Use EC P-256, or RSA of 2048 bits or more.',
      },
    );
  }
  return key;
}
