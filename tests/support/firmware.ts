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
import { buildSigner, type KeySet, type TbbrCounters, tbbrCertificates } from '@mbl/trust';
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

/** The board's firmware with another U-Boot, made of the genuine one, signed by the owner's `keys`: a FIP for a bank. */
export async function ownFirmware(
  board: Board,
  { keys }: KeySet,
  change: (uBoot: Buffer) => Buffer,
  counters: TbbrCounters = noCounters,
): Promise<Buffer> {
  return await changedFirmware(board, { keys }, { bl33: change }, counters);
}

/** The board's firmware with others of its images, made of the genuine ones, signed by the owner's `keys`; `bl32` is what of OP-TEE runs. */
export async function changedFirmware(
  board: Board,
  { keys }: Pick<KeySet, 'keys'>,
  changes: Partial<Readonly<Record<'bl2' | 'bl32' | 'bl33', (image: Buffer) => Buffer>>>,
  counters: TbbrCounters = noCounters,
): Promise<Buffer> {
  const images = imagesOf((await openFirmware(board)).part);
  const same = (image: Buffer): Buffer => image;
  const { bl2 = same, bl32 = same, bl33 = same } = changes;
  const [header, pager, pageable] = images.bl32;
  const changed = {
    ...images,
    bl2: bl2(images.bl2),
    bl32: [header, bl32(pager), pageable] as const,
    bl33: bl33(images.bl33),
  };
  return await signFip(changed, keys, counters);
}

/** `flash-intruder.s` as a program to put in the place of U-Boot; `addresses` are physical. */
export async function makeIntruder(folder: string, addresses: readonly number[]): Promise<Buffer> {
  return withNumbers(await assemble(folder, 'flash-intruder'), [...addresses.map(BigInt), allOnes]);
}

/** A call to BL31: function, x1, x2, x3; functions 1 and 2 as in `firmware-calls.s`. */
export type Call = readonly [number, number?, number?, number?];

/** Who makes calls in a firmware that starts no system: in OP-TEE's place, or behind it in U-Boot's. */
export interface Calls {
  readonly secure?: readonly Call[];
  readonly normal: readonly Call[];
  readonly counters?: TbbrCounters;
}

/** The board's firmware, signed by the owner's `keys`, with callers in it. Their lines begin with `s` and `n`; `s.` and `n.` are their last. */
export async function callingFirmware(
  board: Board,
  { keys }: KeySet,
  folder: string,
  { secure, normal, counters = noCounters }: Calls,
): Promise<Buffer> {
  const images = imagesOf((await openFirmware(board)).part);
  const code = await assemble(folder, 'firmware-calls');
  const caller = (letter: string, calls: readonly Call[], end: bigint): Buffer =>
    withNumbers(code, [
      BigInt(letter.charCodeAt(0)),
      ...calls.flatMap(([call, x1 = 0, x2 = 0, x3 = 0]) => [call, x1, x2, x3].map(BigInt)),
      allOnes,
      end,
    ]);
  const [header, , pageable] = images.bl32;
  // TEESMC_OPTEED_RETURN_ENTRY_DONE, TF-A services/spd/opteed/teesmc_opteed.h
  const bl32 = secure && ([header, caller('s', secure, 0xbe00_0000n), pageable] as const);
  return await signFip(
    { ...images, bl33: caller('n', normal, 0n), ...(bl32 === undefined ? {} : { bl32 }) },
    keys,
    counters,
  );
}

const noCounters: TbbrCounters = { trusted: 0, nonTrusted: 0 };
const allOnes = 2n ** 64n - 1n;

/** A firmware with one certificate out of another one. */
export function withCertificate(firmware: Buffer, other: Buffer, name: string): Buffer {
  const images = (fip: Buffer) =>
    [...readFip(fip)].map(([part, { offset, size }]) => [part, fip.subarray(offset, offset + size)] as const);
  const taken = images(other).filter(([part]) => part === name);
  return buildFip(Object.fromEntries([...images(firmware), ...taken])).bytes;
}

/** A program of this folder, from its first instruction. */
async function assemble(folder: string, name: string): Promise<Buffer> {
  const at = (kind: string): string => join(folder, `${name}.${kind}`);
  await run('aarch64-linux-gnu-as', ['-o', at('o'), join(import.meta.dirname, `${name}.s`)]);
  await run('aarch64-linux-gnu-ld', ['-Ttext=0x60000000', '-o', at('elf'), at('o')]);
  await run('aarch64-linux-gnu-objcopy', ['-O', 'binary', '-j', '.text', at('elf'), at('bin')]);
  return await readFile(at('bin'));
}

function withNumbers(code: Buffer, numbers: readonly bigint[]): Buffer {
  return Buffer.concat([code, new Uint8Array(BigUint64Array.from(numbers).buffer)]);
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

async function signFip(
  images: ReturnType<typeof imagesOf>,
  keys: KeySet['keys'],
  counters: TbbrCounters = noCounters,
): Promise<Buffer> {
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
    counters,
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
