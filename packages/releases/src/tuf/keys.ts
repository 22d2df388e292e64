// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { canonicalize } from '@tufjs/canonical-json';
import { MblError, type Signer } from '@mbl/trust';

/** A public key as TUF metadata holds it (TUF 1.0.34 §4.2). */
export interface TufKey {
  /** SHA-256 of the key's canonical JSON, hex. */
  readonly id: string;
  readonly json: {
    readonly keytype: string;
    readonly scheme: string;
    readonly keyval: { readonly public: string };
  };
}

/** What signs metadata: a signer and the key that it signs with. */
export interface MetadataSigner {
  readonly key: TufKey;
  readonly signer: Signer;
}

/** The key of a public key in PEM: Ed25519 or ECDSA P-256. Throws `release/bad-key`. */
export function tufKey(pem: string): TufKey {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw badKey('it is not a public key in PEM', cause);
  }
  const json = keyJson(key);
  return { id: createHash('sha256').update(canonicalize(json)).digest('hex'), json };
}

/** What signs with `signer`. Throws `release/bad-key` for a key that TUF does not take. */
export async function metadataSigner(signer: Signer): Promise<MetadataSigner> {
  return { key: tufKey(await signer.publicKey()), signer };
}

function keyJson(key: KeyObject): TufKey['json'] {
  if (key.asymmetricKeyType === 'ed25519') {
    const { x = '' } = key.export({ format: 'jwk' });
    return {
      keytype: 'ed25519',
      scheme: 'ed25519',
      keyval: { public: Buffer.from(x, 'base64url').toString('hex') },
    };
  }
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    const pem = key.export({ type: 'spki', format: 'pem' });
    return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem.trim() } };
  }
  throw badKey('it is neither Ed25519 nor ECDSA P-256');
}

function badKey(why: string, cause?: unknown): MblError {
  return new MblError('release/bad-key', `This key cannot sign releases: ${why}.`, {
    cause,
    remedy: 'Take an Ed25519 or an EC P-256 key; openssl genpkey -algorithm ed25519 makes one.',
  });
}
