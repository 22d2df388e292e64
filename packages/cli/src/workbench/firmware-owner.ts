// SPDX-License-Identifier: Apache-2.0
import { createHash, X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { readFip } from '@mbl/builder';
import type { ImageDescription } from '@mbl/formats';

/**
 * Who signed the boot firmware in a flash: SHA-256 of the public key of the root of trust (DER), 64 hex digits, as the firmware's first certificate has it.
 * Either bank will do: a board starts nothing of anybody else. undefined: neither holds a firmware.
 */
export async function firmwareOwner(
  path: string,
  { flash }: Pick<ImageDescription, 'flash'>,
): Promise<string | undefined> {
  await using file = await open(path);
  for (const name of ['bank_a', 'bank_b']) {
    const bank = flash.parts[name];
    if (bank === undefined) continue;
    const bytes = Buffer.alloc(bank.size);
    await file.read(bytes, 0, bank.size, bank.offset);
    const owner = ownerOf(bytes);
    if (owner !== undefined) return owner;
  }
  return undefined;
}

/** A bank that an update is being written to, or that is damaged, says nothing. */
function ownerOf(bank: Buffer): string | undefined {
  try {
    const at = readFip(bank).get('tb-fw-cert');
    if (at === undefined) return undefined;
    const { publicKey } = new X509Certificate(bank.subarray(at.offset, at.offset + at.size));
    return createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex');
  } catch {
    return undefined;
  }
}
