// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { p256 } from '@noble/curves/nist.js';
import { MblError } from './errors.ts';
import type { KeyRef } from './keys/key-set.ts';
import { algorithmOf, memorySigner, type Signer } from './signer.ts';

/**
 * A signer whose ECDSA signatures depend on nothing but key and data (RFC 6979), so that an image signed twice is the same image.
 * RSA PKCS #1 v1.5 and Ed25519 are deterministic by themselves. For builds only: node:crypto's own ECDSA is hardened against observers
 * on the same machine, this one is not.
 */
export function deterministicSigner(key: KeyObject): Signer {
  const signer = memorySigner(key);
  if (algorithmOf(key) !== 'ec-p256') return signer;
  const { d } = key.export({ format: 'jwk' });
  if (d === undefined) throw new MblError('trust/unsupported-key', 'the key has no private part');
  const secret = Buffer.from(d, 'base64url');
  return {
    ...signer,
    sign: (data) =>
      Promise.resolve(Buffer.from(p256.sign(data, secret, { prehash: true, lowS: false, format: 'der' }))),
  };
}

/** SubjectPublicKeyInfo of a signer as DER. */
export async function publicKeyDer(signer: Signer): Promise<Buffer> {
  return createPublicKey(await signer.publicKey()).export({ type: 'spki', format: 'der' });
}

/** The signer for a build: deterministic where the key is in a file; a token signs as it can. */
export async function buildSigner(key: KeyRef): Promise<Signer> {
  if (!('file' in key.place)) return key;
  return deterministicSigner(createPrivateKey(await readFile(key.place.file)));
}
