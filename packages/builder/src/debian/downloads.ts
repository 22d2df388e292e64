// SPDX-License-Identifier: Apache-2.0
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';

/** A file that is known by its SHA-256 (64 hex) before it is fetched. */
export interface Wanted {
  /** Where an archive keeps it; the last part is what a person knows it by. */
  readonly path: string;
  readonly sha256: string;
  /** Bytes; 0 when not known. */
  readonly size: number;
}

export interface ObtainOptions {
  readonly log?: (line: string) => void;
  readonly progress?: (fraction: number | undefined, what?: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches files that are not here yet to `target` paths. It need not check them, and may leave out those that it could not get.
 */
export type Fetcher<T extends Wanted> = (
  missing: readonly { readonly wanted: T; readonly target: string }[],
) => Promise<void>;

/**
 * Downloaded files by content: `<folder>/<first two hex>/<sha256>`. A file that is there under its name is whole, or corrupt by accident.
 * Two that fetch the same file at once each write a part of their own; the later rename puts the same bytes in place.
 */
export class Downloads {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  path(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256))
      throw new MblError('builder/bad-digest', `"${sha256}" is not a SHA-256.`);
    return join(this.folder, sha256.slice(0, 2), sha256);
  }

  /**
   * The paths of all that is wanted, each with its hash checked now; what is missing or corrupt is fetched. Throws
   * `builder/download-missing` with the names (`details.names`) of what the fetcher did not bring, `builder/download-corrupt` for what
   * came with another hash.
   */
  async obtain<T extends Wanted>(
    wanted: readonly T[],
    fetcher: Fetcher<T>,
    options: ObtainOptions = {},
  ): Promise<Map<T, string>> {
    const paths = new Map<T, string>();
    const missing = new Map<string, { wanted: T; target: string }>();
    for (const item of wanted) {
      options.signal?.throwIfAborted();
      const path = this.path(item.sha256);
      paths.set(item, path);
      const actual = await hashIfThere(path);
      if (actual === item.sha256) continue;
      if (actual !== undefined) {
        options.log?.(`The cached file ${path} (${fileName(item)}) is corrupt; it is fetched again.`);
        await rm(path, { force: true });
      }
      missing.set(item.sha256, { wanted: item, target: `${path}.${randomUUID()}.part` });
    }
    if (missing.size > 0) await this.#fetch([...missing.values()], fetcher, options);
    return paths;
  }

  async #fetch<T extends Wanted>(
    missing: readonly { wanted: T; target: string }[],
    fetcher: Fetcher<T>,
    options: ObtainOptions,
  ): Promise<void> {
    options.progress?.(undefined, `fetching ${missing.length} files`);
    for (const { target } of missing) await mkdir(dirname(target), { recursive: true });
    try {
      await fetcher(missing);
      const absent: string[] = [];
      for (const { wanted, target } of missing) {
        const actual = await hashIfThere(target);
        if (actual === undefined) absent.push(fileName(wanted));
        else if (actual !== wanted.sha256)
          throw new MblError(
            'builder/download-corrupt',
            `${fileName(wanted)} came with SHA-256 ${actual} instead of ${wanted.sha256}.`,
            { remedy: 'Run the build again; if it stays, use another mirror (MBL_DEBIAN_MIRROR).' },
          );
        else await rename(target, this.path(wanted.sha256));
      }
      if (absent.length > 0)
        throw new MblError('builder/download-missing', `Could not fetch ${listNames(absent)}.`, {
          remedy:
            'When the mirror has newer versions by now: ./mbl build --update-lock takes them; MBL_DEBIAN_SNAPSHOT=<base>/archive/debian/<timestamp> fetches the old ones; ./mbl build --from-archive <file> needs neither.',
          details: { names: absent },
        });
    } finally {
      for (const { target } of missing) await rm(target, { force: true });
    }
  }
}

/** `systemd_257.9-1_arm64.deb` */
export const fileName = ({ path }: { readonly path: string }): string =>
  path.slice(path.lastIndexOf('/') + 1);

const listNames = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');

const hashIfThere = async (path: string): Promise<string | undefined> => {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? sha256File(path) : undefined;
};

/** SHA-256 of a file, in hex. */
export const sha256File = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
};
