// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** Bytes of a header, and what contents are filled up to (POSIX.1-2017, pax, "ustar Interchange Format"). */
export const tarBlock = 512;
/** The longest path or target of a link, in characters. */
export const longestTarName = 4096;

/** What a header block says, as it stands there. */
export interface TarHeader {
  /** The type flag: `0` a file, `5` a directory, `x` a pax header and so on. */
  readonly kind: string;
  /** The name, with its ustar prefix. */
  readonly name: string;
  readonly link: string;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly user: string;
  readonly group: string;
  /** Bytes that follow, without what fills the last block. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly time: number;
}

/** Reads a header block of 512 bytes; undefined for one of zeros, which ends an archive. Throws `blocks/bad-archive`. */
export const readHeader = (block: Buffer): TarHeader | undefined => {
  if (block.every((byte) => byte === 0)) return undefined;
  checkHeader(block);
  const prefix = text(block.subarray(257, 263)) === 'ustar' ? text(block.subarray(345, 500)) : '';
  const short = text(block.subarray(0, 100));
  return {
    kind: String.fromCharCode(block[156] ?? 0),
    name: prefix ? `${prefix}/${short}` : short,
    link: text(block.subarray(157, 257)),
    mode: tarNumber(block, 100, 8) & 0o7777,
    uid: tarNumber(block, 108, 8),
    gid: tarNumber(block, 116, 8),
    user: text(block.subarray(265, 297)),
    group: text(block.subarray(297, 329)),
    size: tarNumber(block, 124, 12),
    // A negative number is a time before 1970.
    time: block[136] === 0xff ? 0 : tarNumber(block, 136, 12),
  };
};

/** The records of a pax header, by keyword; the last of two counts. Throws `blocks/bad-archive`. */
export const readPax = (data: Buffer): Map<string, Buffer> => new Map(paxRecords(data));

/** The records of a pax header, in their order (POSIX.1-2017, pax, "pax Header Block"). Throws `blocks/bad-archive`. */
export function* paxRecords(data: Buffer): Generator<[keyword: string, value: Buffer]> {
  let offset = 0;
  while (offset < data.length) {
    const space = data.indexOf(0x20, offset);
    const length = space < 0 ? Number.NaN : Number(data.subarray(offset, space).toString('latin1'));
    if (!Number.isInteger(length) || length <= space - offset || offset + length > data.length)
      throw badArchive('a pax record is wrong');
    const record = data.subarray(space + 1, offset + length - 1);
    const equals = record.indexOf(0x3d);
    if (equals < 1) throw badArchive('a pax record is wrong');
    yield [record.subarray(0, equals).toString(), record.subarray(equals + 1)];
    offset += length;
  }
}

/** The text of a field, up to its first NUL. */
export const text = (field: Buffer): string => {
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString();
};

/** A number of a header: octal, or base 256 when the top bit is set (GNU). */
export const tarNumber = (block: Buffer, at: number, width: number): number => {
  const field = block.subarray(at, at + width);
  if ((field[0] ?? 0) & 0x80) {
    const big = field.subarray(-6).readUIntBE(0, 6);
    if (field.subarray(1, -6).some((byte) => byte !== 0)) throw badArchive('a number is too large');
    return big;
  }
  const digits = text(field).trim();
  if (!/^[0-7]*$/.test(digits)) throw badArchive('a number is not octal');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
};

/** The sum of all bytes of a block. */
export const checksum = (block: Buffer): number => {
  let sum = 0;
  for (const byte of block) sum += byte;
  return sum;
};

const checkHeader = (block: Buffer): void => {
  const stored = tarNumber(block, 148, 8);
  let sum = checksum(block) + 8 * 0x20;
  for (const byte of block.subarray(148, 156)) sum -= byte;
  if (sum !== stored) throw badArchive('a header checksum is wrong');
};

export const badArchive = (what: string): MblError =>
  new MblError('blocks/bad-archive', `The tar archive cannot be read: ${what}.`);
