// SPDX-License-Identifier: Apache-2.0

// TF-A include/tools_share/firmware_image_package.h: TOC_HEADER_NAME, then a table of entries that the nil UUID ends.
const fipName = 0xaa640001;
const headerSize = 16;
const entrySize = 40;
const mostEntries = 64;
// The magic number of a flattened device tree (Devicetree Specification 0.4 §5.2), which a FIT is.
const treeMagic = 0xd00dfeed;

/** The size of the firmware image package that `bytes` begin with, at most `most`: the last entry of its table says where it ends. */
export function fipSize(bytes: Buffer, most = bytes.length): number | undefined {
  if (bytes.length < headerSize || bytes.readUInt32LE(0) !== fipName) return undefined;
  for (let i = 0; i < mostEntries; i++) {
    const at = headerSize + i * entrySize;
    if (at + entrySize > bytes.length) return undefined;
    if (bytes.subarray(at, at + 16).some((byte) => byte !== 0)) continue;
    const end = bytes.readBigUInt64LE(at + 16);
    return end > BigInt(at) && end <= BigInt(most) ? Number(end) : undefined;
  }
  return undefined;
}

/** The size of the FIT whose first 8 bytes these are. */
export function fitSize(start: Buffer): number | undefined {
  return start.length >= 8 && start.readUInt32BE(0) === treeMagic ? start.readUInt32BE(4) : undefined;
}
