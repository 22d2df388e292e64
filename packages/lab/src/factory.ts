// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { BoardImage } from './image.ts';
import { environmentOfTools, runCommand } from './processes.ts';

/** Makes a read-only erofs image of a folder. */
export type PackFactory = (directory: string, outFile: string, signal?: AbortSignal) => Promise<void>;

/** Packs with `mkfs.erofs` from PATH; the same files give the same bytes. */
export const packWithErofs: PackFactory = async (directory, outFile, signal) => {
  const args = [
    '--quiet',
    '-T0',
    '-U',
    '00000000-0000-4000-8000-000000000000',
    '--all-root',
    outFile,
    directory,
  ];
  const env = environmentOfTools();
  const result = await runCommand('mkfs.erofs', args, { signal, env, debianPackage: 'erofs-utils' });
  if (result.code !== 0) {
    throw new MblError(
      'lab/factory-failed',
      `mkfs.erofs could not pack the factory partition: ${result.stderr.trim()}`,
      { remedy: `Check the space and the rights of ${dirname(outFile)}.` },
    );
  }
};

/** File name to content. */
export type FactoryFiles = Readonly<Record<string, string | Uint8Array>>;

/** Writes the factory partition (ARCHITECTURE.md, "Factory configuration") of a disk image. */
export async function writeFactory(
  disk: string,
  image: BoardImage,
  files: FactoryFiles,
  pack: PackFactory,
  signal?: AbortSignal,
): Promise<void> {
  const partition = image.disk.partitions.find(({ name }) => name === 'factory');
  if (partition === undefined) {
    throw new MblError('lab/no-factory', `The image for ${image.machine} has no factory partition.`, {
      remedy: 'Add a partition named factory to the machine file and build the image again: ./mbl build',
    });
  }
  const work = await mkdtemp(join(dirname(disk), '.factory-'));
  try {
    const folder = join(work, 'files');
    await mkdir(folder, { mode: 0o755 });
    for (const [name, content] of Object.entries(files)) {
      if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name)) {
        throw new MblError('lab/factory-failed', `${name} is no name for a factory file.`, {
          remedy: 'Use letters, digits, dot, hyphen and underscore, 64 at most.',
        });
      }
      // Root's alone: the enrolment code is a secret until it was used.
      await writeFile(join(folder, name), content, { mode: 0o600 });
    }
    const packed = join(work, 'factory.erofs');
    await pack(folder, packed, signal);
    const { size } = await stat(packed);
    if (size > partition.size) {
      throw new MblError(
        'lab/factory-failed',
        `The factory files take ${size} bytes, the partition has ${partition.size}.`,
        { remedy: 'Make them smaller, or the factory partition of the machine file larger.' },
      );
    }
    await copyInto(packed, disk, partition.offset);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function copyInto(from: string, to: string, offset: number): Promise<void> {
  const source = await open(from);
  const target = await open(to, 'r+');
  try {
    const buffer = Buffer.alloc(1024 * 1024);
    for (let position = 0; ; ) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) break;
      await target.write(buffer, 0, bytesRead, offset + position);
      position += bytesRead;
    }
  } finally {
    await source.close();
    await target.close();
  }
}
