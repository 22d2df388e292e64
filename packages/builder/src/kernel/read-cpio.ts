// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** An entry of an archive as it stands; the content of a link is its target. */
export interface ReadCpioEntry {
  readonly path: string;
  /** Type and permissions, as in `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly data: Uint8Array;
}

const headerSize = 110;
const maximumEntries = 10_000;
const trailer = 'TRAILER!!!';

/**
 * The entries of archives of format "newc", one behind the other, zeros between them (Linux
 * `Documentation/driver-api/early-userspace/buffer-format.rst`). For bytes of any origin: throws nothing but `builder/bad-archive`.
 */
export function readCpio(bytes: Uint8Array): ReadCpioEntry[] {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: ReadCpioEntry[] = [];
  for (let at = 0; at < all.length; ) {
    if (all[at] === 0) {
      at++;
      continue;
    }
    const header = all.toString('latin1', at, at + headerSize);
    if (!/^070701[0-9a-fA-F]{104}$/.test(header)) throw bad('an entry does not start with its header');
    const field = (n: number): number => Number.parseInt(header.slice(6 + n * 8, 14 + n * 8), 16);
    const [nameSize, size] = [field(11), field(6)];
    const start = align(at + headerSize + nameSize);
    if (nameSize === 0 || start + size > all.length) throw bad('an entry is cut off');
    const path = all.toString('utf8', at + headerSize, at + headerSize + nameSize - 1);
    at = align(start + size);
    if (path === trailer) continue;
    if (entries.length === maximumEntries) throw bad(`it has more than ${maximumEntries} entries`);
    entries.push({
      path,
      mode: field(1),
      uid: field(2),
      gid: field(3),
      data: all.subarray(start, start + size),
    });
  }
  return entries;
}

function align(offset: number): number {
  return (offset + 3) & ~3;
}

function bad(what: string): MblError {
  return new MblError('builder/bad-archive', `The initramfs cannot be read: ${what}.`, {
    remedy: 'Build the image again with: ./mbl build',
  });
}
