// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { PlacedPartition } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** A partition table as it is on a disk (UEFI 2.10 §5.3). */
export interface Gpt {
  /** The primary header, 92 bytes. */
  readonly header: Buffer;
  /** The partition entries, all of them, used or not. */
  readonly entries: Buffer;
  /** The used entries; offsets and sizes are bytes of the disk. */
  readonly partitions: readonly PlacedPartition[];
}

const sector = 512;
const signature = 'EFI PART';
const headerSize = 92;
const entrySize = 128;
const mostEntries = 256;
/** Places in a header (UEFI 2.10 §5.3.2). */
const at = {
  headerSize: 12,
  headerCrc: 16,
  ownLba: 24,
  otherLba: 32,
  firstUsableLba: 40,
  lastUsableLba: 48,
  diskGuid: 56,
  entriesLba: 72,
  entryCount: 80,
  entrySize: 84,
  entriesCrc: 88,
} as const;

/**
 * Reads the partition table of a disk with sectors of 512 bytes, image or block device; undefined when it has none. For bytes of any
 * origin: throws nothing but `factory/bad-table` and errors of reading.
 */
export async function readGpt(disk: FileHandle): Promise<Gpt | undefined> {
  const header = await read(disk, sector, headerSize);
  if (header.toString('latin1', 0, signature.length) !== signature) return undefined;
  if (header.readUInt32LE(at.headerSize) !== headerSize) throw bad('its header has another size');
  if (header.readUInt32LE(at.headerCrc) !== crc32(withCrc(header, 0)))
    throw bad('the checksum of its header is wrong');
  const count = header.readUInt32LE(at.entryCount);
  if (count > mostEntries || header.readUInt32LE(at.entrySize) !== entrySize)
    throw bad('its entries are of an unknown kind');
  const entries = await read(disk, place(header, at.entriesLba), count * entrySize);
  if (header.readUInt32LE(at.entriesCrc) !== crc32(entries))
    throw bad('the checksum of its entries is wrong');
  const partitions = [...used(entries)].map(toPartition);
  const [first, end] = [place(header, at.firstUsableLba), place(header, at.lastUsableLba) + sector];
  const entriesAt = place(header, at.entriesLba);
  // What is written to a partition, or to the table, must not reach into the other.
  if (entriesAt < 2 * sector || entriesAt + entries.length > first || place(header, at.otherLba) < end)
    throw bad('it lies within its partitions');
  if (partitions.some(({ offset, size }) => offset < first || offset + size > end))
    throw bad('a partition lies outside of the place for partitions');
  return { header, entries, partitions };
}

/** Where the backup of a table is: its header, with the place of that and of its entries. Throws `factory/bad-table`. */
export async function findBackup(
  disk: FileHandle,
  { header, entries }: Gpt,
): Promise<{ readonly header: Buffer; readonly headerAt: number; readonly entriesAt: number }> {
  const headerAt = place(header, at.otherLba);
  const backup = await read(disk, headerAt, headerSize);
  // Not its checksums: a power cut within `renewGuids` leaves them wrong, and the next try puts them right.
  if (backup.toString('latin1', 0, signature.length) !== signature) throw bad('its backup is missing');
  const entriesAt = place(backup, at.entriesLba);
  const free = place(header, at.lastUsableLba) + sector;
  if (place(backup, at.ownLba) !== headerAt || entriesAt < free || entriesAt + entries.length > headerAt)
    throw bad('its backup lies at another place');
  return { header: backup, headerAt, entriesAt };
}

/**
 * Gives the disk and each of its partitions GUIDs of their own, in both copies of the table. The backup is whole on the disk before the
 * primary changes: a power cut leaves one of them valid. `random` gives that many random bytes. Throws `factory/bad-table`.
 */
export async function renewGuids(
  disk: FileHandle,
  gpt: Gpt,
  random: (size: number) => Buffer,
): Promise<void> {
  const header = Buffer.from(gpt.header);
  const entries = Buffer.from(gpt.entries);
  guid(random).copy(header, at.diskGuid);
  for (const entry of used(entries)) guid(random).copy(entry, 16);
  const backup = await findBackup(disk, gpt);
  const put = async (copy: Buffer, where: number, entriesAt: number): Promise<void> => {
    copy.writeUInt32LE(crc32(entries), at.entriesCrc);
    await writeAll(disk, entries, entriesAt);
    await writeAll(disk, withCrc(copy, crc32(withCrc(copy, 0))), where);
    await disk.sync();
  };
  header.copy(backup.header, at.diskGuid, at.diskGuid, at.diskGuid + 16);
  await put(backup.header, backup.headerAt, backup.entriesAt);
  await put(header, sector, place(header, at.entriesLba));
}

/** A random GUID (RFC 9562 §5.4) in a GPT's order of bytes: its first three fields are little-endian. */
function guid(random: (size: number) => Buffer): Buffer {
  const bytes = random(16);
  bytes[7] = ((bytes[7] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

function* used(entries: Buffer): Generator<Buffer> {
  for (let offset = 0; offset < entries.length; offset += entrySize) {
    const entry = entries.subarray(offset, offset + entrySize);
    // An entry whose type is zero is unused.
    if (entry.subarray(0, 16).some((byte) => byte !== 0)) yield entry;
  }
}

function toPartition(entry: Buffer): PlacedPartition {
  const [first, last] = [entry.readBigUInt64LE(32), entry.readBigUInt64LE(40)];
  if (last < first || last >= BigInt(Number.MAX_SAFE_INTEGER) / BigInt(sector))
    throw bad('a partition ends before it begins, or beyond any disk');
  const name = entry.toString('utf16le', 56, entrySize).replace(/\0.*$/s, '');
  return { name, offset: Number(first) * sector, size: Number(last - first + 1n) * sector };
}

/** The byte that an LBA of a header names. */
function place(header: Buffer, field: number): number {
  const lba = header.readBigUInt64LE(field);
  if (lba < 1n || lba > BigInt(Number.MAX_SAFE_INTEGER) / BigInt(sector) - 1n)
    throw bad('it lies outside of the disk');
  return Number(lba) * sector;
}

function withCrc(header: Buffer, crc: number): Buffer {
  const copy = Buffer.from(header);
  copy.writeUInt32LE(crc, at.headerCrc);
  return copy;
}

async function read(disk: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  await disk.read(buffer, 0, length, position);
  return buffer;
}

/** Writes all of `bytes`: a disk, or a file on one, that has no place left takes a part of them and says how much. */
export async function writeAll(disk: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await disk.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function bad(what: string): MblError {
  return new MblError('factory/bad-table', `The partition table of the disk cannot be used: ${what}.`, {
    remedy: 'Write the image onto the disk again.',
  });
}
