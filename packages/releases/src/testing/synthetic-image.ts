// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VerityHasher } from '@mbl/blocks';
import { formatImage, type ImageDescription } from '@mbl/formats';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

interface SyntheticOptions {
  machine?: string;
  keys?: ImageDescription['keys'];
  /** Gives each part its bytes. */
  seed?: number;
  rollbackIndex?: number;
}

/** The folder of an image as a build leaves it, with parts of a few kilobytes: a FIP, a FIT, a verity root of three blocks. */
export async function syntheticImage(
  folder: string,
  { machine = 'qemu-arm64', keys = 'development', seed = 1, rollbackIndex = 0 }: SyntheticOptions = {},
): Promise<ImageDescription> {
  await mkdir(folder, { recursive: true });
  const fip = Buffer.alloc(16 + 2 * 40 + 100, seed);
  fip.writeUInt32LE(0xaa640001, 0);
  fip.fill(0x11, 16, 32).writeBigUInt64LE(96n, 32);
  fip.fill(0, 56, 96).writeBigUInt64LE(BigInt(fip.length), 72);
  const flash = Buffer.alloc(8192, 0xff);
  flash.set(fip, 4096);
  const fit = Buffer.alloc(500, seed);
  fit.writeUInt32BE(0xd00dfeed, 0);
  fit.writeUInt32BE(fit.length, 4);
  const data = Buffer.alloc(3 * 4096, seed);
  const salt = 'ab'.repeat(32);
  const hasher = new VerityHasher(Buffer.from(salt, 'hex'));
  hasher.update(data);
  const { tree, rootHash } = hasher.finish();
  const disk = Buffer.alloc(64 * 1024);
  disk.set(fit, 4096);
  disk.set(Buffer.concat([data, tree]), 8192);
  const description: ImageDescription = {
    version: 1,
    machine,
    image: 'development',
    buildId: `${seed}`.padStart(16, '0'),
    keys,
    components: {
      'boot-firmware': { version: `2.12.${seed}`, sha256: sha256(flash) },
      kernel: { version: `6.12.${seed}`, sha256: sha256(fit) },
      root: { version: `0.1.0+${seed}`, rootHash },
    },
    flash: { file: 'flash.bin', size: flash.length, parts: { bank_a: { offset: 4096, size: 4096 } } },
    disk: {
      file: 'disk.img',
      size: disk.length,
      sectorSize: 512,
      partitions: [
        { name: 'boot_a', offset: 4096, size: 4096 },
        { name: 'root_a', offset: 8192, size: 32_768 },
      ],
    },
    fit: { rollbackIndex, parts: {} },
    root: { dataSize: data.length, hashOffset: data.length, rootHash, salt },
  };
  const bill = {
    bomFormat: 'CycloneDX',
    components: [
      { type: 'library', name: 'systemd', version: `257.${seed}` },
      { type: 'library', name: `only-${seed}`, version: '1' },
    ],
  };
  await writeFile(join(folder, 'flash.bin'), flash);
  await writeFile(join(folder, 'disk.img'), disk);
  await writeFile(join(folder, 'image.json'), formatImage(description));
  await writeFile(join(folder, 'packages.cdx.json'), JSON.stringify(bill));
  return description;
}
