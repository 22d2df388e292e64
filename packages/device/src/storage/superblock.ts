// SPDX-License-Identifier: Apache-2.0

/** Bytes from the start of a partition that `inspect` wants. */
export const inspectedSize = 64 * 1024;

/**
 * What a partition looks like. `blank`: nothing was ever written. `unfinished`: a file system without a label, as this service leaves
 * it when the power goes before the label is set. `made`: ours, with its label. `damaged`: anything else.
 */
export type Appearance = 'blank' | 'unfinished' | 'made' | 'damaged';

export interface Inspection {
  readonly appearance: Appearance;
  /** The kernel noted an error when it used the file system last. */
  readonly errors: boolean;
}

/** Offsets in the superblock, which starts at byte 1024 (Linux `fs/ext4/ext4.h`, struct ext4_super_block). */
const superblock = {
  start: 1024,
  magic: 0x38,
  state: 0x3a,
  label: 0x78,
  labelSize: 16,
  checksum: 0x3fc,
} as const;
const magic = 0xef53;
const stateErrors = 2;

/** Judges a partition by its first bytes: our file system is one whose label is `label`. */
export function inspect(start: Uint8Array, label: string): Inspection {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  if (bytes.every((byte) => byte === 0)) return { appearance: 'blank', errors: false };
  const at = (offset: number): number => superblock.start + offset;
  if (bytes.length < inspectedSize || bytes.readUInt16LE(at(superblock.magic)) !== magic)
    return { appearance: 'damaged', errors: false };
  const field = bytes.subarray(at(superblock.label), at(superblock.label + superblock.labelSize));
  const name = field.toString('latin1').replace(/\0.*$/s, '');
  const errors = (bytes.readUInt16LE(at(superblock.state)) & stateErrors) !== 0;
  return { appearance: name === label ? 'made' : name === '' ? 'unfinished' : 'damaged', errors };
}

/**
 * The superblock with the checksum that belongs to it; undefined when it has that one. It lies over two sectors, and a disk writes sectors:
 * a power cut may leave one of them old. What is in either is for e2fsck to judge, which looks at nothing without a true checksum.
 */
export function resealed(
  start: Uint8Array,
): { readonly bytes: Uint8Array; readonly offset: number } | undefined {
  const bytes = Buffer.from(start.subarray(superblock.start, superblock.start + superblock.checksum + 4));
  const checksum = crc32c(bytes.subarray(0, superblock.checksum));
  if (bytes.readUInt32LE(superblock.checksum) === checksum) return undefined;
  bytes.writeUInt32LE(checksum, superblock.checksum);
  return { bytes, offset: superblock.start };
}

/** CRC-32C without the last complement, as ext4 has it (Documentation/filesystems/ext4/checksums.rst). */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return crc >>> 0;
}
