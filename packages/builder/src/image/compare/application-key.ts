// SPDX-License-Identifier: Apache-2.0
import { createPublicKey, verify } from 'node:crypto';

/** A trusted application taken apart (`signTrustedApplication` says how it is laid out). */
export interface SignedApplication {
  readonly signature: Buffer;
  /** What the signature covers. */
  readonly covered: Buffer;
}

const magic = 'HSTO';
const headerSize = 20;
const hashSize = 32;

/** Reads a signed trusted application; undefined where the bytes are none. */
export function readApplication(bytes: Buffer): SignedApplication | undefined {
  if (bytes.length < headerSize || bytes.toString('latin1', 0, 4) !== magic) return undefined;
  if (bytes.readUInt16LE(16) !== hashSize) return undefined;
  const end = headerSize + hashSize + bytes.readUInt16LE(18);
  if (end > bytes.length) return undefined;
  return {
    signature: bytes.subarray(headerSize + hashSize, end),
    covered: Buffer.concat([bytes.subarray(0, headerSize), bytes.subarray(end)]),
  };
}

/** The same bytes with the signature taken out, and the hash, which OP-TEE computes itself. */
export function withoutSignature(bytes: Buffer): Buffer {
  return readApplication(bytes)?.covered ?? bytes;
}

/**
 * The modulus of the key in OP-TEE that signed `application`, looked for within 8 bytes before `near`, where another OP-TEE differs from
 * this one. Nothing in an image says where it is; that the signature opens with it proves that it is that key.
 */
export function findApplicationKey(
  optee: Buffer,
  near: number,
  { signature, covered }: SignedApplication,
): Buffer | undefined {
  for (let at = near; at >= Math.max(0, near - 8); at--) {
    const modulus = optee.subarray(at, at + signature.length);
    // RSA asks for an odd modulus; most places are ruled out without a computation.
    if (modulus.length < 128 || modulus.length < signature.length || ((modulus.at(-1) ?? 0) & 1) === 0)
      continue;
    if (((modulus[0] ?? 0) & 0x80) === 0) continue;
    const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' };
    try {
      const key = createPublicKey({ key: jwk, format: 'jwk' });
      if (verify('sha256', covered, key, signature)) return modulus;
    } catch {
      // No key at all: not here.
    }
  }
  return undefined;
}
