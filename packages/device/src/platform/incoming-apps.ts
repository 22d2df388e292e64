// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { lstat, open, readdir, rmdir, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readRecord, readText } from '@mbl/formats';
import { isErrno, writeAtomic } from '../common/files.ts';

const mostListBytes = 256 * 1024;
const mostTeams = 256;
const mostFiles = 256;

/**
 * The files that apps are fetched into: made here, with their size, and filled by another process, which makes none. Whoever had the disk in hand may have left
 * there what he likes: no link is followed, and no file of two names is written.
 */
export class IncomingApps {
  readonly #folder: string;
  readonly #list: string;

  /** `list`: a file that keeps over a restart what each team is fetching. */
  constructor(folder: string, list: string) {
    this.#folder = folder;
    this.#list = list;
  }

  path(sha256: string): string {
    return join(this.#folder, `${sha256}.erofs`);
  }

  /** Bytes of a file; undefined where it is none. */
  async sizeOf(sha256: string): Promise<number | undefined> {
    return (await this.#own(sha256))?.size;
  }

  /** Bytes that it takes on the disk. */
  async allocated(sha256: string): Promise<number> {
    return ((await this.#own(sha256))?.blocks ?? 0) * 512;
  }

  /** Of the file system, and of what the folder may hold: that of a project of its own is all that `statfs` says of it. */
  async freeBytes(): Promise<number> {
    const all = await Promise.all(
      [this.#folder, dirname(this.#folder)].map(async (path) => await statfs(path)),
    );
    return Math.min(...all.map(({ bavail, bsize }) => bavail * bsize));
  }

  /** An empty file of that size, or the one that is there. */
  async make(sha256: string, size: number): Promise<void> {
    if ((await this.#own(sha256))?.size === size) return;
    if (!(await remove(this.path(sha256)))) throw new Error('a folder is in the place of an image');
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    await using file = await open(this.path(sha256), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o660);
    await file.truncate(size);
  }

  /** A team fetches these, and none of before; what no team fetches is removed. */
  async want(team: string, digests: ReadonlySet<string>): Promise<void> {
    const wanted = await this.#wanted();
    wanted.set(team, digests);
    await this.#keep(wanted);
  }

  /** Only these teams fetch anything. */
  async keepOnly(teams: ReadonlySet<string>): Promise<void> {
    const wanted = await this.#wanted();
    await this.#keep(new Map([...wanted].filter(([team]) => teams.has(team))));
  }

  async #keep(wanted: ReadonlyMap<string, ReadonlySet<string>>): Promise<void> {
    const teams = Object.fromEntries([...wanted].map(([team, digests]) => [team, { files: [...digests] }]));
    await writeAtomic(this.#list, `${JSON.stringify({ version: 1, teams })}\n`, 0o644);
    const names = new Set(
      [...wanted.values()].flatMap((digests) => [...digests].map((one) => `${one}.erofs`)),
    );
    for (const name of await readdir(this.#folder))
      if (!names.has(name)) await remove(join(this.#folder, name));
  }

  async #wanted(): Promise<Map<string, ReadonlySet<string>>> {
    try {
      const content = (await readText(this.#list, mostListBytes)) ?? '';
      const json = readRecord(content, { path: this.#list, code: 'device/bad-list', most: mostListBytes });
      const teams = json.entries('teams', mostTeams);
      return new Map(teams.map(([team, entry]) => [team, new Set(entry.strings('files', mostFiles))]));
    } catch {
      // What is damaged is begun anew: it costs the bytes that came.
      return new Map();
    }
  }

  async #own(sha256: string): Promise<{ readonly size: number; readonly blocks: number } | undefined> {
    const found = await lstat(this.path(sha256)).catch(() => undefined);
    return found?.isFile() === true && found.nlink === 1 && found.uid === process.getuid?.()
      ? found
      : undefined;
  }
}

/**
 * False: a folder with something in it is there. Whoever made it could put a link in its place while it was gone into; the app manager removes
 * it.
 */
async function remove(path: string): Promise<boolean> {
  for (const way of [unlink, rmdir])
    try {
      await way(path);
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return true;
      if (!['EISDIR', 'EPERM', 'ENOTEMPTY'].some((code) => isErrno(error, code))) throw error;
    }
  return false;
}
