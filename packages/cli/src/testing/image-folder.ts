// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest('hex');

/** The folder of an image of a few kilobytes, for verbs that read one: an empty FIP, a FIT, a root of one block, which needs no tree. */
export function makeImageFolder(folder: string, seed: number): void {
  mkdirSync(folder, { recursive: true });
  const flash = Buffer.alloc(4096, 0xff);
  const fip = Buffer.alloc(16 + 2 * 40);
  fip.writeUInt32LE(0xaa640001, 0);
  fip.fill(seed, 16, 32);
  fip.writeBigUInt64LE(BigInt(fip.length), 16 + 40 + 16);
  flash.set(fip);
  const fit = Buffer.alloc(100, seed);
  fit.writeUInt32BE(0xd00dfeed, 0);
  fit.writeUInt32BE(fit.length, 4);
  const root = Buffer.alloc(4096, seed);
  const salt = 'ab'.repeat(32);
  const rootHash = sha256(Buffer.from(salt, 'hex'), root);
  const disk = Buffer.concat([fit, Buffer.alloc(4096 - fit.length), root]);
  const description = {
    version: 1,
    machine: 'qemu-arm64',
    image: 'development',
    buildId: `${seed}`.padStart(16, '0'),
    keys: 'development',
    components: {
      'boot-firmware': { version: '2.12', sha256: sha256(flash) },
      kernel: { version: `6.12.${seed}`, sha256: sha256(fit) },
      root: { version: `0.1.0+${seed}`, rootHash },
    },
    flash: { file: 'flash.bin', size: flash.length, parts: { bank_a: { offset: 0, size: 4096 } } },
    disk: {
      file: 'disk.img',
      size: disk.length,
      sectorSize: 512,
      partitions: [
        { name: 'boot_a', offset: 0, size: 4096 },
        { name: 'root_a', offset: 4096, size: 4096 },
      ],
    },
    fit: { parts: {} },
    root: { dataSize: 4096, hashOffset: 4096, rootHash, salt },
  };
  const bill = {
    components: [
      { name: 'systemd', version: `257.${seed}` },
      { name: 'dbus', version: '1.16' },
    ],
  };
  writeFileSync(join(folder, 'flash.bin'), flash);
  writeFileSync(join(folder, 'disk.img'), disk);
  writeFileSync(join(folder, 'image.json'), JSON.stringify(description));
  writeFileSync(join(folder, 'packages.cdx.json'), JSON.stringify(bill));
}
