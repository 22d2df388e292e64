// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  bitString,
  contextual,
  der,
  octetString,
  oid,
  sequence,
  tags,
  time,
  unsignedInteger,
  utf8String,
} from '../der.ts';
import { publicKeyDer } from '../deterministic-signer.ts';
import { type Signer, signatureAlgorithm } from '../signer.ts';

/** What a certificate vouches for: a counter, a public key or the hash of an image, each an extension with its own OID. */
export type TbbrExtension =
  | { readonly oid: string; readonly counter: number }
  | { readonly oid: string; readonly key: Signer }
  | { readonly oid: string; readonly image: Uint8Array | undefined };

const validFrom = new Date(Date.UTC(2020, 0, 1));
// Firmware runs before there is a clock: TF-A does not read the dates, and they must not depend on the day of the build.
const validUntil = new Date(Date.UTC(2049, 11, 31));

/**
 * A certificate of TF-A's chain of trust: X.509 v3, self-issued in name, signed by `signer`
 * (TF-A, "Authentication Framework & Chain of Trust", and `include/tools_share/tbbr_oid.h` for the OIDs). DER.
 */
export async function tbbrCertificate(
  name: string,
  signer: Signer,
  extensions: readonly TbbrExtension[],
): Promise<Buffer> {
  const algorithm = signatureAlgorithm(signer.algorithm);
  const distinguishedName = sequence(der(tags.set, sequence(oid('2.5.4.3'), utf8String(name))));
  const values = await Promise.all(extensions.map(async (extension) => encodeExtension(extension)));
  const publicKey = await publicKeyDer(signer);
  // A serial number that is a function of the content (RFC 5280 §4.1.2.2 asks for at most 20 octets, positive).
  const serial = createHash('sha256')
    .update(name)
    .update(publicKey)
    .update(Buffer.concat(values))
    .digest()
    .subarray(0, 16);
  const toBeSigned = sequence(
    contextual(0, unsignedInteger(Buffer.of(2))),
    unsignedInteger(serial),
    algorithm,
    distinguishedName,
    sequence(time(validFrom), time(validUntil)),
    distinguishedName,
    publicKey,
    contextual(3, sequence(...values)),
  );
  return sequence(toBeSigned, algorithm, bitString(await signer.sign(toBeSigned)));
}

async function encodeExtension(extension: TbbrExtension): Promise<Buffer> {
  const critical = der(tags.boolean, Buffer.of(0xff));
  return sequence(oid(extension.oid), critical, octetString(await encodeValue(extension)));
}

async function encodeValue(extension: TbbrExtension): Promise<Buffer> {
  if ('counter' in extension) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(extension.counter);
    return unsignedInteger(bytes);
  }
  if ('key' in extension) return publicKeyDer(extension.key);
  // DigestInfo (RFC 8017 §9.2). An image that the platform does not have is the hash of nothing but zeros.
  const digest =
    extension.image === undefined ? Buffer.alloc(32) : createHash('sha256').update(extension.image).digest();
  return sequence(sequence(oid('2.16.840.1.101.3.4.2.1'), der(tags.null)), octetString(digest));
}
