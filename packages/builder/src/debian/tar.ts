// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

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

const BLOCK = 512;
const LONGEST_NAME = 4096;
const TYPES: Readonly<Record<string, EntryType>> = {
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
 * Reads a whole archive: POSIX ustar and pax, GNU long names. `data` are views of `bytes`. Throws `builder/bad-archive`, also for paths
 * that leave the archive.
 */
export const readTar = (bytes: Buffer): TarEntry[] => {
  const entries: TarEntry[] = [];
  let longPath: string | undefined;
  let longLink: string | undefined;
  let offset = 0;
  while (offset + BLOCK <= bytes.length) {
    const header = bytes.subarray(offset, offset + BLOCK);
    if (header.every((byte) => byte === 0)) break;
    checkHeader(header);
    const size = number(header, 124, 12);
    const kind = String.fromCharCode(header[156] ?? 0);
    const start = offset + BLOCK;
    if (start + size > bytes.length) throw bad('an entry is cut off');
    const data = bytes.subarray(start, start + size);
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
    if (kind === 'L' || kind === 'K' || kind === 'x') {
      if (size > 64 * LONGEST_NAME) throw bad('a long name is too long');
      if (kind === 'L') longPath = text(data);
      else if (kind === 'K') longLink = text(data);
      else {
        const pax = readPax(data);
        longPath = pax.get('path') ?? longPath;
        longLink = pax.get('linkpath') ?? longLink;
      }
      continue;
    }
    if (kind === 'g') continue;
    const type = TYPES[kind];
    if (!type) throw bad(`entry type "${kind}" is not known`);
    const prefix = text(header.subarray(257, 263)) === 'ustar' ? text(header.subarray(345, 500)) : '';
    const short = text(header.subarray(0, 100));
    const link = longLink ?? text(header.subarray(157, 257));
    entries.push({
      path: safePath(longPath ?? (prefix ? `${prefix}/${short}` : short)),
      type,
      mode: number(header, 100, 8) & 0o7777,
      uid: number(header, 108, 8),
      gid: number(header, 116, 8),
      user: text(header.subarray(265, 297)),
      group: text(header.subarray(297, 329)),
      link: type === 'hardlink' ? safePath(link) : link,
      data: type === 'file' ? data : Buffer.alloc(0),
    });
    longPath = undefined;
    longLink = undefined;
  }
  return entries;
};

/** What `writeTar` needs of an entry; devices and FIFOs are not written. */
export interface TarOutput {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly link: string;
  readonly data: Buffer;
}

/**
 * The archive as a sequence of buffers, without copies of file contents. Every entry has the same time (seconds since 1970), numeric
 * owners and no names, so the bytes depend on the arguments only.
 */
export function* writeTar(entries: Iterable<TarOutput>, time: number): Generator<Buffer> {
  for (const entry of entries) {
    const path = entry.path === '' ? './' : entry.type === 'directory' ? `${entry.path}/` : entry.path;
    const pax: string[] = [];
    if (Buffer.byteLength(path) > 100) pax.push(paxRecord('path', path));
    if (Buffer.byteLength(entry.link) > 100) pax.push(paxRecord('linkpath', entry.link));
    if (pax.length > 0) {
      const data = Buffer.from(pax.join(''));
      yield header({ ...entry, mode: 0o644, link: '' }, 'pax', data.length, 'x', time);
      yield* padded(data);
    }
    const kind = { file: '0', hardlink: '1', symlink: '2', directory: '5' }[entry.type];
    const size = entry.type === 'file' ? entry.data.length : 0;
    yield header(entry, path, size, kind, time);
    if (size > 0) yield* padded(entry.data);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** The header of a regular file that belongs to root and is as old as time: its bytes follow from `path` (at most 100) and `size` alone. */
export const plainHeader = (path: string, size: number): Buffer => {
  const entry = { path, type: 'file', mode: 0o644, uid: 0, gid: 0, link: '', data: Buffer.alloc(0) } as const;
  return header(entry, path, size, '0', 0);
};

/** Bytes from a file's content to the next header. */
export const paddingAfter = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

function* padded(data: Buffer): Generator<Buffer> {
  yield data;
  if (paddingAfter(data.length) > 0) yield Buffer.alloc(paddingAfter(data.length));
}

const header = (entry: TarOutput, path: string, size: number, kind: string, time: number): Buffer => {
  const block = Buffer.alloc(BLOCK);
  // A name over 100 bytes is cut here; its pax record before it counts.
  Buffer.from(path).copy(block, 0, 0, 100);
  const octal = (value: number, at: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  };
  octal(entry.mode, 100, 8);
  octal(entry.uid, 108, 8);
  octal(entry.gid, 116, 8);
  octal(size, 124, 12);
  octal(time, 136, 12);
  block.write(kind, 156, 'latin1');
  Buffer.from(entry.link).copy(block, 157, 0, 100);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
};

/** pax records carry their own length, its digits included. */
const paxRecord = (key: string, value: string): string => {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
};

const readPax = (data: Buffer): Map<string, string> => {
  const records = new Map<string, string>();
  let offset = 0;
  while (offset < data.length) {
    const space = data.indexOf(0x20, offset);
    const length = space < 0 ? Number.NaN : Number(data.subarray(offset, space).toString('latin1'));
    if (!Number.isInteger(length) || length <= space - offset || offset + length > data.length)
      throw bad('a pax record is wrong');
    const record = data.subarray(space + 1, offset + length - 1).toString();
    const equals = record.indexOf('=');
    if (equals < 1) throw bad('a pax record is wrong');
    records.set(record.slice(0, equals), record.slice(equals + 1));
    offset += length;
  }
  return records;
};

/** Relative, without `.` parts; a `..` part, an absolute path or a NUL is refused. */
export const safePath = (path: string): string => {
  const parts = path.split('/').filter((part) => part !== '.' && part !== '');
  if (path.startsWith('/') || parts.includes('..') || path.includes('\0') || path.length > LONGEST_NAME)
    throw bad(`the path "${path.slice(0, 200)}" leaves the archive`);
  return parts.join('/');
};

const text = (field: Buffer): string => {
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString();
};

/** Octal, or base 256 when the top bit is set (GNU). */
const number = (block: Buffer, at: number, width: number): number => {
  const field = block.subarray(at, at + width);
  if ((field[0] ?? 0) & 0x80) {
    const big = field.subarray(-6).readUIntBE(0, 6);
    if (field.subarray(1, -6).some((byte) => byte !== 0)) throw bad('a number is too large');
    return big;
  }
  const digits = text(field).trim();
  if (!/^[0-7]*$/.test(digits)) throw bad('a number is not octal');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
};

const checksum = (block: Buffer): number => {
  let sum = 0;
  for (const byte of block) sum += byte;
  return sum;
};

const checkHeader = (block: Buffer): void => {
  const stored = number(block, 148, 8);
  let sum = checksum(block) + 8 * 0x20;
  for (const byte of block.subarray(148, 156)) sum -= byte;
  if (sum !== stored) throw bad('a header checksum is wrong');
};

const bad = (what: string): MblError =>
  new MblError('builder/bad-archive', `The tar archive cannot be read: ${what}.`);
