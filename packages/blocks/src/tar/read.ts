// SPDX-License-Identifier: Apache-2.0
import { badArchive, longestTarName, readHeader, readPax, tarBlock, text } from './header.ts';

export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo';

/** A tar entry. `path` and (for hard links) `link` are relative, without `./` or a slash at the end; the archive's root is `''`. */
export interface TarEntry {
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Names win over numbers when both are there. */
  readonly user: string;
  readonly group: string;
  /** Target of a symbolic link, as written; path of a hard link. */
  readonly link: string;
  readonly data: Buffer;
}

/** What the type flags mean. */
export const tarTypes: Readonly<Record<string, EntryType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/**
 * Reads a whole archive: POSIX ustar and pax, GNU long names. `data` are views of `bytes`. Throws `blocks/bad-archive`, also for paths
 * that leave the archive.
 */
export const readTar = (bytes: Buffer): TarEntry[] => {
  const entries: TarEntry[] = [];
  let longPath: string | undefined;
  let longLink: string | undefined;
  let offset = 0;
  while (offset + tarBlock <= bytes.length) {
    const header = readHeader(bytes.subarray(offset, offset + tarBlock));
    if (header === undefined) break;
    const { kind, size } = header;
    const start = offset + tarBlock;
    if (start + size > bytes.length) throw badArchive('an entry is cut off');
    const data = bytes.subarray(start, start + size);
    offset = start + Math.ceil(size / tarBlock) * tarBlock;
    if (kind === 'L' || kind === 'K' || kind === 'x') {
      if (size > 64 * longestTarName) throw badArchive('a long name is too long');
      if (kind === 'L') longPath = text(data);
      else if (kind === 'K') longLink = text(data);
      else {
        const pax = readPax(data);
        longPath = pax.get('path')?.toString() ?? longPath;
        longLink = pax.get('linkpath')?.toString() ?? longLink;
      }
      continue;
    }
    if (kind === 'g') continue;
    const type = tarTypes[kind];
    if (!type) throw badArchive(`entry type "${kind}" is not known`);
    const link = longLink ?? header.link;
    const { mode, uid, gid, user, group } = header;
    entries.push({
      path: safePath(longPath ?? header.name),
      type,
      mode,
      uid,
      gid,
      user,
      group,
      link: type === 'hardlink' ? safePath(link) : link,
      data: type === 'file' ? data : Buffer.alloc(0),
    });
    longPath = undefined;
    longLink = undefined;
  }
  return entries;
};

/** Relative, without `.` parts; a `..` part, an absolute path or a NUL is refused. */
export const safePath = (path: string): string => {
  const parts = path.split('/').filter((part) => part !== '.' && part !== '');
  if (path.startsWith('/') || parts.includes('..') || path.includes('\0') || path.length > longestTarName)
    throw badArchive(`the path "${path.slice(0, 200)}" leaves the archive`);
  return parts.join('/');
};
