// SPDX-License-Identifier: Apache-2.0
//
// A stranger with keys of his own and all of the tools signs a whole firmware for a board that is not his; and the owner signs one that
// hangs.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { buildFip, findFip, readFip } from '@mbl/builder';
import type { Board } from '@mbl/lab';
import { buildSigner, type KeySet, tbbrCertificates } from '@mbl/trust';
import { run } from './attacks.ts';

export interface ForeignFirmware {
  /** Where the FIP starts in the flash. */
  readonly offset: number;
  /** The board's images with the stranger's root of trust in BL2, and every certificate signed by `keys`. */
  readonly fip: Buffer;
  /** A BL1 of the stranger's own: the board's, with his root of trust. It is ROM: no attacker writes it. */
  readonly bl1: Buffer;
}

/** Signs the board's firmware anew, from the root of trust to the last certificate, with a stranger's keys. */
export async function foreignFirmware(board: Board, { keys }: KeySet): Promise<ForeignFirmware> {
  const { flash, bl1, offset, part } = await openFirmware(board);
  // Whoever signed the certificate of BL2 is the root of trust; BL1 and BL2 hold the hash of his key.
  const owner = new X509Certificate(part('tb-fw-cert')).publicKey;
  const ownHash = hashOf(owner);
  const foreignHash = hashOf(createPublicKey(await keys['root-of-trust'].publicKey()));
  const trusting = (image: Buffer, name: string): Buffer => {
    const at = image.indexOf(ownHash);
    assert.ok(at >= 0, `${name} holds the hash of the root of trust`);
    const other = Buffer.from(image);
    foreignHash.copy(other, at);
    return other;
  };

  return {
    offset,
    fip: await signFip({ ...imagesOf(part), bl2: trusting(part('bl2'), 'BL2') }, keys),
    bl1: trusting(flash.subarray(bl1.offset, bl1.offset + bl1.size), 'BL1'),
  };
}

/** The board's firmware with another U-Boot, made of the genuine one, signed by the owner's `keys`: a FIP for bank A. */
export async function ownFirmware(
  board: Board,
  { keys }: KeySet,
  change: (uBoot: Buffer) => Buffer,
): Promise<Buffer> {
  const images = imagesOf((await openFirmware(board)).part);
  return await signFip({ ...images, bl33: change(images.bl33) }, keys);
}

/** `flash-intruder.s` as a program to put in the place of U-Boot; `addresses` are physical. */
export async function makeIntruder(folder: string, addresses: readonly number[]): Promise<Buffer> {
  const at = (name: string): string => join(folder, name);
  await run('aarch64-linux-gnu-as', ['-o', at('intruder.o'), join(import.meta.dirname, 'flash-intruder.s')]);
  await run('aarch64-linux-gnu-ld', ['-Ttext=0x60000000', '-o', at('intruder.elf'), at('intruder.o')]);
  await run('aarch64-linux-gnu-objcopy', [
    '-O',
    'binary',
    '-j',
    '.text',
    at('intruder.elf'),
    at('intruder.bin'),
  ]);
  const list = BigUint64Array.from([...addresses.map(BigInt), 2n ** 64n - 1n]);
  return Buffer.concat([await readFile(at('intruder.bin')), new Uint8Array(list.buffer)]);
}

async function openFirmware(board: Board) {
  const flash = await board.readPart('flash');
  const { bl1 } = board.image.flash.parts;
  assert.ok(bl1 !== undefined);
  const offset = findFip(flash, bl1.offset + bl1.size);
  const genuine = flash.subarray(offset);
  const parts = readFip(genuine);
  const part = (name: string): Buffer => {
    const at = parts.get(name);
    assert.ok(at !== undefined, `the FIP holds ${name}`);
    return genuine.subarray(at.offset, at.offset + at.size);
  };
  return { flash, bl1, offset, part };
}

const imagesOf = (part: (name: string) => Buffer) => ({
  bl2: part('bl2'),
  bl31: part('bl31'),
  bl32: [part('bl32'), part('bl32-extra1'), part('bl32-extra2')] as const,
  bl33: part('bl33'),
});

async function signFip(images: ReturnType<typeof imagesOf>, keys: KeySet['keys']): Promise<Buffer> {
  const signer = async (name: keyof typeof keys) => await buildSigner(keys[name]);
  const certificates = await tbbrCertificates(
    {
      rootOfTrust: await signer('root-of-trust'),
      trustedWorld: await signer('trusted-world'),
      nonTrustedWorld: await signer('non-trusted-world'),
      bl31: await signer('bl31'),
      bl32: await signer('bl32'),
      bl33: await signer('bl33'),
    },
    images,
    { trusted: 0, nonTrusted: 0 },
  );
  const [header, pager, pageable] = images.bl32;
  const { bl2, bl31, bl33 } = images;
  return buildFip({
    ...{ bl2, bl31, bl32: header, 'bl32-extra1': pager, 'bl32-extra2': pageable, bl33 },
    ...certificates,
  }).bytes;
}

function hashOf(key: KeyObject): Buffer {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
}
