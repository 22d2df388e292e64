// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey } from 'node:crypto';
import { MblError } from '@mbl/trust';

/**
 * OP-TEE's core has the modulus of the key for trusted applications as an array of bytes (`scripts/pem_to_pub_c.py`), and nothing else of it
 * depends on that key. So it is compiled once, for a number in that place, and each key set puts its own there: nobody compiles for
 * minutes because of a key. The number is no one's key: it is made of hashes.
 */
const standIn = Buffer.concat(
  Array.from({ length: 8 }, (_, index) =>
    createHash('sha256').update(`MBL: in the place of the key for trusted applications, ${index}`).digest(),
  ),
);
// As a modulus is: of its full length, and odd.
standIn[0] = (standIn[0] ?? 0) | 0x80;
standIn[255] = (standIn[255] ?? 0) | 1;

/** What OP-TEE is compiled for: a public key, PEM (RSA 2048), with the exponent that every key set's key has. */
export const standInKey: string = createPublicKey({
  key: { kty: 'RSA', n: standIn.toString('base64url'), e: 'AQAB' },
  format: 'jwk',
}).export({ type: 'spki', format: 'pem' });

/**
 * The core (`tee-pager_v2.bin`) with `publicKey` (PEM, RSA 2048, exponent 65537) as the key that trusted applications must be signed with.
 * Error: `builder/application-key`, when it is another kind of key, or when the core does not have the place for it exactly once.
 */
export function withApplicationKey(core: Uint8Array, publicKey: string): Buffer {
  const { n = '', e } = createPublicKey(publicKey).export({ format: 'jwk' });
  const modulus = Buffer.from(n, 'base64url');
  if (modulus.length !== standIn.length || e !== 'AQAB')
    throw new MblError(
      'builder/application-key',
      'The key "ta" is no RSA key of 2048 bits with the exponent 65537.',
      { remedy: 'Make the key set with: ./mbl keys init --keys FOLDER' },
    );
  const own = Buffer.from(core);
  const at = own.indexOf(standIn);
  if (at < 0 || own.includes(standIn, at + 1))
    throw new MblError(
      'builder/application-key',
      "OP-TEE's core does not have the place for the key of trusted applications exactly once.",
      {
        remedy: "Look at what OP-TEE's build makes of TA_PUBLIC_KEY: packages/builder/src/firmware/optee.ts",
      },
    );
  modulus.copy(own, at);
  return own;
}
