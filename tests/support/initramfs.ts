// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { mkdir, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BoardImage } from '@mbl/lab';
import type { PartitionFile } from './boot-loader.ts';
import { root } from './mbl.ts';

const run = promisify(execFile);
const script = join(root, 'os/rootfs/initramfs/init');

/** What the initramfs calls that only a board has. */
const commands: Readonly<Record<string, string>> = {
  mount: 'exit 0',
  umount: 'exit 0',
  insmod: 'exit 0',
  sleep: 'exit 0',
  dmsetup: 'exit 0',
  switch_root: 'exit 0',
  // The script goes on behind a restart that does not come.
  reboot: 'kill "$PPID"',
};

export interface Initramfs {
  /**
   * Has the kernel of `image` look for its root. Returns what it leaves for the running system: lines like `slot=a`; undefined where it finds
   * none and restarts the board.
   */
  start(
    image: Pick<BoardImage, 'root'>,
    partitions: Readonly<Record<'state' | 'root_a' | 'root_b', PartitionFile>>,
  ): Promise<string | undefined>;
}

/** The initramfs' choice of a root, `os/rootfs/initramfs/init` as it stands but for the folders that it looks into. */
export async function prepareInitramfs(folder: string): Promise<Initramfs> {
  const at = (path: string): string => join(folder, path);
  const text = await readFile(script, 'utf8');
  const moved = text
    .replaceAll(/(?<![\w.$}])\/(run|etc|dev|sys|proc|modules|sysroot)(?=[/ "]|$)/gm, `${folder}/$1`)
    .replace('PATH=/bin', `PATH=${at('bin')}:$PATH`);
  for (const path of ['bin', 'etc', 'dev', 'modules', 'sys', 'sysroot'])
    await mkdir(at(path), { recursive: true });
  for (const [name, does] of Object.entries(commands))
    await writeFile(at(`bin/${name}`), `#!/bin/sh\n${does}\n`, { mode: 0o755 });
  await writeFile(at('modules/order'), '');
  await writeFile(at('init'), moved);
  return {
    async start({ root: { dataSize, hashOffset, rootHash, salt = '' } }, partitions) {
      const lines = {
        ROOT_DATA_BLOCKS: dataSize / 4096,
        ROOT_HASH_START: hashOffset / 4096,
        ROOT_HASH: rootHash,
        ROOT_SALT: salt === '' ? '-' : salt,
        KEYS: 'production',
        DISK: 'nowhere',
      };
      const conf = Object.entries(lines).map(([name, value]) => `${name}=${value}\n`);
      await writeFile(at('etc/root.conf'), conf.join(''));
      await writeFile(at('etc/root.salt'), Buffer.from(salt, 'hex'));
      await rm(at('run'), { recursive: true, force: true });
      await mkdir(at('run/mbl/disk'), { recursive: true });
      // The tree's top block is all that it reads of a root: the rest is a hole.
      for (const [name, part] of Object.entries(partitions)) {
        const copied = name === 'state' ? { offset: 0, size: 8192 } : { offset: hashOffset, size: 4096 };
        await copyRange(part, copied, at(`dev/${name}`));
        await symlink(at(`dev/${name}`), at(`run/mbl/disk/${name}`));
      }
      // A restart ends the script by a signal.
      await run('sh', [at('init')], { env: { ...process.env } }).catch((error: { signal?: string }) => {
        if (error.signal !== 'SIGTERM') throw error;
      });
      return await readFile(at('run/mbl/boot'), 'utf8').catch(() => undefined);
    },
  };
}

async function copyRange(
  { path, offset }: PartitionFile,
  range: { readonly offset: number; readonly size: number },
  into: string,
): Promise<void> {
  await using from = await open(path);
  const bytes = Buffer.alloc(range.size);
  await from.read(bytes, 0, bytes.length, offset + range.offset);
  await using to = await open(into, 'w');
  await to.write(bytes, 0, bytes.length, range.offset);
}
