// SPDX-License-Identifier: Apache-2.0
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { der, oid, sequence, tags } from './der.ts';
import { MblError } from './errors.ts';

/** The key types that MBL makes. */
export type KeyAlgorithm = 'ec-p256' | 'rsa-2048' | 'rsa-3072' | 'ed25519';

/** Something that signs with a private key that it may not be able to show: a file, a token. */
export interface Signer {
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo as PEM. */
  publicKey(): Promise<string>;
  /**
   * Signs `data` (not a digest). ec-p256: ECDSA with SHA-256, DER; rsa-*: PKCS #1 v1.5 with SHA-256; ed25519: RFC 8032.
   */
  sign(data: Uint8Array): Promise<Buffer>;
}

/** The algorithm of a key, or an error for one that MBL does not make. */
export function algorithmOf(key: KeyObject): KeyAlgorithm {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  if (key.asymmetricKeyType === 'ec' && details?.namedCurve === 'prime256v1') return 'ec-p256';
  if (key.asymmetricKeyType === 'rsa' && details?.modulusLength === 2048) return 'rsa-2048';
  if (key.asymmetricKeyType === 'rsa' && details?.modulusLength === 3072) return 'rsa-3072';
  throw new MblError(
    'trust/unsupported-key',
    `a ${key.asymmetricKeyType ?? 'secret'} key of this size is not supported`,
    {
      remedy: 'Use EC P-256, RSA-2048, RSA-3072 or Ed25519.',
    },
  );
}

/** Signs with a private key in memory; what `Signer.sign` promises, at once. */
export function signWith(key: KeyObject, data: Uint8Array): Buffer {
  return sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', data, key);
}

/** A signer over a private key in memory. */
export function memorySigner(key: KeyObject): Signer {
  const publicPem = createPublicKey(key).export({ type: 'spki', format: 'pem' });
  return {
    algorithm: algorithmOf(key),
    publicKey: () => Promise.resolve(publicPem),
    sign: (data) => Promise.resolve(signWith(key, data)),
  };
}

/** The AlgorithmIdentifier of a signer's signatures (RFC 5758 §3.2, RFC 8017 §A.2.4, RFC 8410 §3). */
export function signatureAlgorithm(algorithm: KeyAlgorithm): Buffer {
  if (algorithm === 'ec-p256') return sequence(oid('1.2.840.10045.4.3.2'));
  if (algorithm === 'ed25519') return sequence(oid('1.3.101.112'));
  return sequence(oid('1.2.840.113549.1.1.11'), der(tags.null));
}
