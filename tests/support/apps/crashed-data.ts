// SPDX-License-Identifier: Apache-2.0
//
// What a board finds of apps on its data partition after a power cut: the journal of the file system replayed by e2fsck, the files read by debugfs.
// Nothing is mounted: a host's kernel may have neither fs-verity nor quotas.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, lstat, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BLOCK_SIZE, treeSize, VerityHasher } from '@mbl/blocks';
import { type Outcome, recover } from '../crashed-partition.ts';

const run = promisify(execFile);

/** A file or folder as its inode says. */
export interface CrashedEntry {
  /** Below `/data/apps`; '' for that itself. */
  readonly path: string;
  readonly inode: number;
  readonly uid: number;
  readonly gid: number;
  readonly project: number;
  readonly size: number;
  readonly mtimeMs: number;
  /** The fs-verity digest that the kernel would say; undefined where the file is not sealed. */
  readonly measured: string | undefined;
  /** Of the file that was taken out, on this host. */
  readonly hostInode: number;
  /** Not sealed, or every block and the hash tree are what the digest says: no read fails. */
  readonly readable: boolean;
}

export interface CrashedData {
  readonly outcome: Outcome;
  /** Has the files of `/data/apps`, in a folder `apps`. */
  readonly folder: string;
  /** By their paths. */
  readonly entries: ReadonlyMap<string, CrashedEntry>;
  /** The same for all states in which the apps find the same. */
  readonly key: string;
}

/** EXT4_VERITY_FL (Linux fs/ext4/ext4.h). */
const verityFlag = 0x100000;
/** Of a whole sealed file the metadata begin at a multiple of this (Linux Documentation/filesystems/ext4/verity.rst). */
const metadataAlignment = 65_536;
const descriptorSize = 256;

/** Replays the journal in `image`, mends what has to be mended, and takes the files of apps out of it into `folder`, which is made anew. */
export async function readCrashedData(image: string, folder: string): Promise<CrashedData> {
  const outcome = await recover(image, 'data', true);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await run('debugfs', ['-R', `rdump /apps ${folder}`, image]);
  const top = join(folder, 'apps');
  const entries = new Map<string, CrashedEntry>();
  const key = createHash('sha256');
  const names: string[] = await readdir(top, { recursive: true }).catch(() => []);
  const inodes = await statAll(image, names);
  for (const path of names.toSorted()) {
    const found = inodes.get(path);
    if (found === undefined) throw new Error(`debugfs says nothing of ${path}`);
    const host = await lstat(join(top, path));
    const content = host.isFile() ? await readFile(join(top, path)) : undefined;
    const seal = (found.flags & verityFlag) === 0 ? undefined : await sealOf(image, found, content);
    entries.set(path, {
      ...{ ...found, path, hostInode: host.ino },
      ...{ measured: seal?.measured, readable: seal?.readable ?? true },
    });
    // The age of a file says something where it tells one order from another.
    const age = path.startsWith('orders/') ? [found.inode, found.mtimeMs] : [];
    const { uid, gid, project, mode } = found;
    const digest = content === undefined ? '' : createHash('sha256').update(content).digest('hex');
    key.update(JSON.stringify([path, mode, uid, gid, project, ...age, digest, seal ?? '']));
  }
  return { outcome, folder, entries, key: key.digest('hex') };
}

interface Inode extends Pick<CrashedEntry, 'inode' | 'uid' | 'gid' | 'project' | 'size' | 'mtimeMs'> {
  readonly mode: string;
  readonly flags: number;
  /** Blocks of the file, and those of the file system in which they are. */
  readonly extents: readonly { readonly first: number; readonly last: number; readonly block: number }[];
}

/** What debugfs(8) says of files, whose paths are below `/apps`. */
async function statAll(image: string, paths: readonly string[]): Promise<Map<string, Inode>> {
  if (paths.length === 0) return new Map();
  const child = run('debugfs', ['-f', '-', image], { maxBuffer: 64 << 20 });
  child.child.stdin?.end(paths.map((path) => `stat "/apps/${path}"\n`).join(''));
  const { stdout } = await child;
  const found = new Map<string, Inode>();
  for (const part of stdout.split(/^debugfs: (?=stat )/m).slice(1)) {
    const path = /^stat "\/apps\/(.*)"/.exec(part)?.[1] ?? '';
    const number = (pattern: RegExp): number => Number(pattern.exec(part)?.[1] ?? Number.NaN);
    const [, seconds = '', extra = '0'] = /^ *mtime: (0x[0-9a-f]+)(?::([0-9a-f]+))?/m.exec(part) ?? [];
    const nanoseconds = Number.parseInt(extra, 16) >>> 2;
    const extents = [...(part.split('EXTENTS:\n')[1] ?? '').matchAll(/\((\d+)(?:-(\d+))?\):(\d+)/g)];
    found.set(path, {
      inode: number(/^Inode: (\d+)/m),
      mode: `${/Type: (\S+)/.exec(part)?.[1]} ${/Mode: +(\d+)/.exec(part)?.[1]}`,
      flags: number(/Flags: (0x[0-9a-f]+)/),
      uid: number(/^User: +(\d+)/m),
      gid: number(/Group: +(\d+)/),
      project: number(/Project: +(\d+)/),
      size: number(/ Size: (\d+)/),
      mtimeMs: Number(seconds) * 1000 + nanoseconds / 1_000_000,
      extents: extents.map(([, first, last = first, block]) => ({
        first: Number(first),
        last: Number(last),
        block: Number(block),
      })),
    });
  }
  return found;
}

/**
 * What the kernel would measure, and whether what is on the disk is that. The metadata are behind the file's end: the hash tree, then the
 * descriptor, whose length is in the last four bytes of the last block.
 */
async function sealOf(
  image: string,
  { extents, size }: Inode,
  content: Buffer | undefined,
): Promise<{ measured: string; readable: boolean }> {
  await using file = await open(image);
  const blockOf = async (index: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(BLOCK_SIZE);
    const extent = extents.find(({ first, last }) => index >= first && index <= last);
    if (extent !== undefined)
      await file.read(bytes, 0, BLOCK_SIZE, (extent.block + index - extent.first) * BLOCK_SIZE);
    return bytes;
  };
  const start = (Math.ceil(size / metadataAlignment) * metadataAlignment) / BLOCK_SIZE;
  const treeBlocks = treeSize(Math.ceil(size / BLOCK_SIZE)) / BLOCK_SIZE;
  const last = Math.max(...extents.map((one) => one.last));
  const length = (await blockOf(last)).readUInt32LE(BLOCK_SIZE - 4);
  const descriptor = (await blockOf(start + treeBlocks)).subarray(0, descriptorSize);
  const measured = createHash('sha256').update(descriptor).digest('hex');
  if (size === 0) return { measured, readable: false };
  const hasher = new VerityHasher(new Uint8Array());
  hasher.update(content ?? Buffer.alloc(0));
  hasher.update(Buffer.alloc((BLOCK_SIZE - (size % BLOCK_SIZE)) % BLOCK_SIZE));
  const { tree, rootHash } = hasher.finish();
  const onDisk: Buffer[] = [];
  for (let index = 0; index < treeBlocks; index++) onDisk.push(await blockOf(start + index));
  const readable =
    length === descriptorSize &&
    Buffer.concat(onDisk).equals(tree) &&
    descriptor.subarray(16, 48).toString('hex') === rootHash &&
    descriptor.readBigUInt64LE(8) === BigInt(size);
  return { measured, readable };
}

/** The same files once more, to let a board do something else with them. */
export async function copyCrashedData(data: CrashedData, folder: string): Promise<CrashedData> {
  await rm(folder, { recursive: true, force: true });
  await cp(data.folder, folder, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  const entries = new Map<string, CrashedEntry>();
  for (const [path, entry] of data.entries) {
    const copy = await lstat(join(folder, 'apps', path)).catch(() => undefined);
    // Somebody may have removed it since.
    if (copy !== undefined) entries.set(path, { ...entry, hostInode: copy.ino });
  }
  return { ...data, folder, entries };
}
