// SPDX-License-Identifier: Apache-2.0
import { checksum, tarBlock } from './header.ts';

/** What `writeTar` needs of an entry; devices and FIFOs are not written. */
export interface TarOutput {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly link: string;
  readonly data: Buffer;
  /** Seconds since 1970; by default that of the whole archive. */
  readonly time?: number;
  /** Extended attributes, by their names (`user.…`). */
  readonly attributes?: ReadonlyMap<string, Uint8Array>;
}

/**
 * The archive as a sequence of buffers, without copies of file contents. Every entry has the same time (seconds since 1970), numeric
 * owners and no names, so the bytes depend on the arguments only. The data of an entry is asked for once, and no more after the next entry's.
 */
export function* writeTar(entries: Iterable<TarOutput>, time: number): Generator<Buffer> {
  for (const entry of entries) {
    const { type, mode, uid, gid, link } = entry;
    const head = { type, mode, uid, gid, link };
    const path = entry.path === '' ? './' : entry.type === 'directory' ? `${entry.path}/` : entry.path;
    const pax: Buffer[] = [];
    if (Buffer.byteLength(path) > 100) pax.push(paxRecord('path', Buffer.from(path)));
    if (Buffer.byteLength(entry.link) > 100) pax.push(paxRecord('linkpath', Buffer.from(entry.link)));
    for (const [name, value] of entry.attributes ?? []) pax.push(paxRecord(`SCHILY.xattr.${name}`, value));
    if (pax.length > 0) {
      const records = Buffer.concat(pax);
      yield header({ ...head, mode: 0o644, link: '' }, 'pax', records.length, 'x', time);
      yield* padded(records);
    }
    const kind = { file: '0', hardlink: '1', symlink: '2', directory: '5' }[head.type];
    const data = head.type === 'file' ? entry.data : undefined;
    yield header(head, path, data?.length ?? 0, kind, entry.time ?? time);
    if (data !== undefined && data.length > 0) yield* padded(data);
  }
  yield tarEnd();
}

type TarHead = Pick<TarOutput, 'type' | 'mode' | 'uid' | 'gid' | 'link'>;

/** The header of a regular file that belongs to root and is as old as time: its bytes follow from `path` (at most 100) and `size` alone. */
export const plainHeader = (path: string, size: number, kind: '0' | 'x' = '0'): Buffer =>
  header({ type: 'file', mode: 0o644, uid: 0, gid: 0, link: '' }, path, size, kind, 0);

/** All that is before the content of such a file, however long its path is. */
export function* plainHeaders(path: string, size: number): Generator<Buffer> {
  if (Buffer.byteLength(path) > 100) {
    const record = paxRecord('path', Buffer.from(path));
    yield plainHeader('pax', record.length, 'x');
    yield* padded(record);
  }
  yield plainHeader(path, size);
}

/** What an archive ends with. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * tarBlock);

/** Bytes from a file's content to the next header. */
export const paddingAfter = (size: number): number => (tarBlock - (size % tarBlock)) % tarBlock;

function* padded(data: Buffer): Generator<Buffer> {
  yield data;
  if (paddingAfter(data.length) > 0) yield Buffer.alloc(paddingAfter(data.length));
}

const header = (entry: TarHead, path: string, size: number, kind: string, time: number): Buffer => {
  const block = Buffer.alloc(tarBlock);
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
const paxRecord = (key: string, value: Uint8Array): Buffer => {
  const rest = Buffer.byteLength(` ${key}=\n`) + value.length;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
};
