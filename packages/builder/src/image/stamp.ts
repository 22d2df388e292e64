// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What a folder was made of, and how its files looked when it was whole. */
interface Stamp {
  readonly key: string;
  /** Name, size, time and inode of every file: somebody who changed one is found out without reading it. */
  readonly files: readonly string[];
}

/** True when `folder` was made of what `key` stands for and nobody touched it since. A stamp that is missing or damaged is no. */
export async function isCurrent(stampFile: string, key: string, folder: string): Promise<boolean> {
  try {
    const stamp = JSON.parse(await readFile(stampFile, 'utf8')) as Stamp;
    return stamp.key === key && JSON.stringify(stamp.files) === JSON.stringify(await looks(folder));
  } catch {
    return false;
  }
}

/** Notes that `folder` is whole and made of `key`. */
export async function stamp(stampFile: string, key: string, folder: string): Promise<void> {
  await mkdir(dirname(stampFile), { recursive: true });
  const draft = `${stampFile}.${process.pid}`;
  await writeFile(draft, JSON.stringify({ key, files: await looks(folder) } satisfies Stamp));
  await rename(draft, stampFile);
}

async function looks(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).toSorted();
  return await Promise.all(
    names.map(async (name) => {
      const { size, mtimeNs, ino } = await stat(join(folder, name), { bigint: true });
      return `${name} ${size} ${mtimeNs} ${ino}`;
    }),
  );
}
