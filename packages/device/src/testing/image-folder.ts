// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VerityHasher } from '@mbl/blocks';
import { formatImage } from '@mbl/formats';

/** The folder of an image as a build leaves it: that kernel, with the header of a FIT, and that data of the root. Returns the root hash. */
export function imageFolder(folder: string, kernel: Uint8Array, data: Uint8Array): string {
  const fit = Buffer.alloc(8 + kernel.length);
  fit.writeUInt32BE(0xd00dfeed, 0);
  fit.writeUInt32BE(fit.length, 4);
  fit.set(kernel, 8);
  const salt = Buffer.alloc(32, 0xab);
  const hasher = new VerityHasher(salt);
  hasher.update(data);
  const { tree, rootHash } = hasher.finish();
  const rootAt = 1 << 20;
  const disk = Buffer.alloc(rootAt + data.length + tree.length);
  disk.set(fit, 4096);
  disk.set(data, rootAt);
  disk.set(tree, rootAt + data.length);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'disk.img'), disk);
  const sha256 = createHash('sha256').update(fit).digest('hex');
  const description = formatImage({
    version: 1,
    machine: 'qemu-arm64',
    image: 'development',
    buildId: rootHash.slice(0, 16),
    keys: 'development',
    components: {
      'boot-firmware': { version: '2.12.1', sha256: '00'.repeat(32) },
      kernel: { version: '6.12.1', sha256 },
      root: { version: '0.1.0', rootHash },
    },
    flash: { file: 'flash.bin', size: 4096, parts: {} },
    disk: {
      file: 'disk.img',
      size: disk.length,
      sectorSize: 512,
      partitions: [
        { name: 'boot_a', offset: 4096, size: rootAt - 4096 },
        { name: 'root_a', offset: rootAt, size: disk.length - rootAt },
      ],
    },
    fit: { parts: {} },
    root: { dataSize: data.length, hashOffset: data.length, rootHash, salt: salt.toString('hex') },
  });
  writeFileSync(join(folder, 'image.json'), description);
  return rootHash;
}
