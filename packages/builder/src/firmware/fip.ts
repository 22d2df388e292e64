// SPDX-License-Identifier: Apache-2.0
import type { Extent } from '@mbl/formats';
import { MblError } from '@mbl/trust';

// TF-A include/tools_share/firmware_image_package.h: TOC_HEADER_NAME, any serial number but 0, the UUIDs in the order of their bytes.
const headerName = 0xaa640001;
const headerSerial = 0x12345678;
const headerSize = 16;
const entrySize = 40;

const uuids = {
  bl2: '5ff9ec0b4d223e4da544c39d81c73f0a',
  bl31: '47d4086d4cfe98469b952950cbbd5a00',
  bl32: '05d0e18953dc13478d2b500a4b7a3e38',
  'bl32-extra1': '0b70c29b2a5a78409f650a5682738288',
  'bl32-extra2': '8ea87bb1cfa23f4d85fde7bba50220d9',
  bl33: 'd6d0eea7fcead54b97829934f234b6e4',
  'trusted-key-cert': '827ee890f860e411a1b4777a21b4f94c',
  'soc-fw-key-cert': '8ab8beccf960e4119ad0eb4822d8dcf8',
  'tos-fw-key-cert': '9477d603fb60e41185ddb7105b8cee04',
  'nt-fw-key-cert': '8ad5832afb60e4118aafdf30bbc49859',
  'tb-fw-cert': 'd6e269ea5d63e4118d8c9fbabe9956a5',
  'soc-fw-cert': 'e2b20c205e63e4119ce8abccf92bb666',
  'tos-fw-cert': 'a49f44115e63e41187283f05722af33d',
  'nt-fw-cert': '8ec4c1f35d63e411a7a987ee40b23fa7',
} as const;

export type FipPart = keyof typeof uuids;

/**
 * A Firmware Image Package (TF-A, "Firmware Design", §FIP): a table of contents and the images behind it, each on a page of its own
 * start alignment of 16 bytes. What is between them is as in a flash that was erased. Returns the bytes and where each part stands in them. Parts keep the order given.
 */
export function buildFip(images: Partial<Readonly<Record<FipPart, Uint8Array>>>): {
  readonly bytes: Buffer;
  readonly parts: ReadonlyMap<FipPart, Extent>;
} {
  const entries = Object.entries(uuids).flatMap(([name, uuid]) => {
    const image = images[name as FipPart];
    return image === undefined ? [] : [{ name: name as FipPart, uuid, image }];
  });
  const table = Buffer.alloc(headerSize + (entries.length + 1) * entrySize);
  table.writeUInt32LE(headerName, 0);
  table.writeUInt32LE(headerSerial, 4);
  const chunks: Uint8Array[] = [table];
  const parts = new Map<FipPart, Extent>();
  let offset = table.length;
  for (const [i, { name, uuid, image }] of entries.entries()) {
    const padding = -offset & 15;
    chunks.push(Buffer.alloc(padding, 0xff), image);
    offset += padding;
    const at = headerSize + i * entrySize;
    Buffer.from(uuid, 'hex').copy(table, at);
    table.writeBigUInt64LE(BigInt(offset), at + 16);
    table.writeBigUInt64LE(BigInt(image.length), at + 24);
    parts.set(name, { offset, size: image.length });
    offset += image.length;
  }
  // The entry of the nil UUID ends the table and says where the package ends.
  table.writeBigUInt64LE(BigInt(offset), table.length - entrySize + 16);
  return { bytes: Buffer.concat(chunks), parts };
}

/** More than any FIP holds; a table that goes on is not read further. */
const maximumEntries = 64;

/**
 * Where the images of a FIP stand in `bytes`, which starts with the FIP. For bytes of any origin: throws nothing but
 * `builder/bad-fip`. An image of an unknown kind is named by its UUID.
 */
export function readFip(bytes: Uint8Array): ReadonlyMap<string, Extent> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names = new Map<string, string>(Object.entries(uuids).map(([name, uuid]) => [uuid, name]));
  if (all.length < headerSize || all.readUInt32LE(0) !== headerName)
    throw badFip('it does not start with its name');
  const parts = new Map<string, Extent>();
  for (let i = 0; i < maximumEntries; i++) {
    const at = headerSize + i * entrySize;
    if (at + entrySize > all.length) break;
    const uuid = all.toString('hex', at, at + 16);
    if (/^0+$/.test(uuid)) return parts;
    const name = names.get(uuid) ?? uuid;
    // Both are below 2^53 when their sum is within the bytes.
    const [offset, size] = [Number(all.readBigUInt64LE(at + 16)), Number(all.readBigUInt64LE(at + 24))];
    if (offset + size > all.length) throw badFip(`${name} ends outside of it`);
    if (parts.has(name)) throw badFip(`${name} is there twice`);
    parts.set(name, { offset, size });
  }
  throw badFip('its table does not end');
}

/** Where a FIP starts in a flash: at a page, behind `from`. Throws `builder/bad-fip`. */
export function findFip(flash: Uint8Array, from: number): number {
  const all = Buffer.from(flash.buffer, flash.byteOffset, flash.byteLength);
  for (let at = Math.ceil(from / 4096) * 4096; at + headerSize <= all.length; at += 4096)
    if (all.readUInt32LE(at) === headerName) return at;
  throw badFip('the flash holds none');
}

function badFip(what: string): MblError {
  return new MblError('builder/bad-fip', `The firmware image package cannot be read: ${what}.`, {
    remedy: 'Build the image again with: ./mbl build',
  });
}
