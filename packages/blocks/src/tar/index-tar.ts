// SPDX-License-Identifier: Apache-2.0
import { badArchive, longestTarName, paxRecords, readHeader, tarBlock } from './header.ts';
import { safePath, tarTypes } from './read.ts';
import { paddingAfter } from './write.ts';

/** Where the content of a file is in an archive, in bytes. */
export interface TarPlace {
  readonly offset: number;
  readonly size: number;
}

/** An archive that is read here and there. */
export interface TarSource {
  /** Bytes. */
  readonly size: number;
  /** All of `length` bytes at `offset`, which are there. */
  read(offset: number, length: number): Promise<Buffer>;
}

/** The longest pax header or long name that is read, in bytes. */
const longestExtra = 64 * 1024;
/** All of them together: reading them costs more than reading files, and they may be all that is there. */
const mostExtras = 4 * 1024 * 1024;

/**
 * Where the files of an archive are (POSIX ustar and pax, GNU long names), by their paths; no content is read. It has files and folders, at most
 * `most` entries, no path twice, and an end. Throws `blocks/bad-archive`, also for paths that leave the archive.
 */
export async function indexTar(source: TarSource, most: number): Promise<Map<string, TarPlace>> {
  const files = new Map<string, TarPlace>();
  let path: string | undefined;
  let offset = 0;
  let extras = 0;
  for (let count = 0; count <= 2 * most; count++) {
    if (offset + tarBlock > source.size) throw badArchive('it has no end');
    const header = readHeader(await source.read(offset, tarBlock));
    if (header === undefined) return files;
    const { kind, size } = header;
    offset += tarBlock;
    if (size > source.size - offset) throw badArchive('an entry is cut off');
    if (kind === 'x' || kind === 'L') {
      extras += size;
      if (size > longestExtra || extras > mostExtras) throw badArchive('a long name is too long');
      path = longPath(kind, await source.read(offset, size)) ?? path;
    } else {
      const name = safePath(path ?? header.name);
      path = undefined;
      const type = tarTypes[kind];
      if (type !== 'file' && type !== 'directory') throw badArchive(`"${kind}" is no file and no folder`);
      if (type === 'directory' ? size > 0 : name === '') throw badArchive('a folder has a content');
      if (type === 'file') {
        if (files.has(name) || files.size === most)
          throw badArchive('a path is there twice, or too many are');
        files.set(name, { offset, size });
      }
    }
    offset += size + paddingAfter(size);
  }
  throw badArchive('it has too many entries');
}

function longPath(kind: 'x' | 'L', data: Buffer): string | undefined {
  if (kind === 'L') return data.toString('utf8', 0, Math.max(0, data.indexOf(0)));
  const records = new Map(paxRecords(data));
  // A size of its own, or a sparse file, would lie elsewhere than where the header says.
  for (const keyword of records.keys())
    if (keyword === 'size' || keyword.startsWith('GNU.sparse')) throw badArchive(`it has a pax ${keyword}`);
  const path = records.get('path')?.toString();
  if (path !== undefined && path.length > longestTarName) throw badArchive('a long name is too long');
  return path;
}
