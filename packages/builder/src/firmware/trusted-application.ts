// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { Signer } from '@mbl/trust';

const magic = 0x4f545348;
/** SHDR_BOOTSTRAP_TA: the header is followed by the application's UUID and version. */
const bootstrapType = 1;
/** TEE_ALG_RSASSA_PKCS1_V1_5_SHA256 (GlobalPlatform TEE Internal Core API, Table 6-11): no salt, so the same bytes each time. */
const algorithm = 0x70004830;

/**
 * A trusted application as OP-TEE loads it from the normal world's file system: signed header, hash, signature, UUID, version, ELF
 * (OP-TEE `core/include/signed_hdr.h`; "Trusted Applications", §Loading from REE FS). `key` is RSA.
 */
export async function signTrustedApplication(
  uuid: string,
  elf: Uint8Array,
  version: number,
  key: Signer,
): Promise<Buffer> {
  const signatureSize = (await key.sign(Buffer.alloc(1))).length;
  const header = Buffer.alloc(20);
  header.writeUInt32LE(magic, 0);
  header.writeUInt32LE(bootstrapType, 4);
  header.writeUInt32LE(elf.length, 8);
  header.writeUInt32LE(algorithm, 12);
  header.writeUInt16LE(32, 16);
  header.writeUInt16LE(signatureSize, 18);
  const identity = Buffer.alloc(20);
  Buffer.from(uuid.replaceAll('-', ''), 'hex').copy(identity);
  identity.writeUInt32LE(version, 16);
  const covered = Buffer.concat([header, identity, elf]);
  const hash = createHash('sha256').update(covered).digest();
  return Buffer.concat([header, hash, await key.sign(covered), identity, elf]);
}
