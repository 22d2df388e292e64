// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { Extent } from '@mbl/formats';
import { readTbbrCertificate } from '@mbl/trust';
import { findFip, readFip } from '../../firmware/fip.ts';
import {
  type DeviceTreeBlob,
  findNode,
  propertyOf,
  readDeviceTreeBlob,
} from '../../kernel/device-tree-blob.ts';
import { type Facts, shortDigest, without } from './facts.ts';
import { addTree, type PropertyMeaning } from './tree-facts.ts';

/** The keys that a flash holds, public. */
export interface FlashKeys {
  /** SHA-256 of each public key of the chain of trust, hex, by the name of its certificate; and U-Boot's for the FIT. */
  readonly fingerprints: Readonly<Record<string, string>>;
}

const certificate = /-cert$/;
const titles: Readonly<Record<string, string>> = {
  bl32: 'optee-header',
  'bl32-extra1': 'optee',
  'bl32-extra2': 'optee-pageable',
  bl33: 'u-boot',
};

/** A flash taken apart. */
export interface FlashParts {
  readonly flash: Buffer;
  readonly bl1: Extent;
  readonly fip: number;
  /** By the names of `readFip`; offsets from the start of the flash. */
  readonly images: ReadonlyMap<string, Buffer>;
}

/** Finds BL1 and the images of the FIP behind it. Throws `builder/bad-fip`. */
export function openFlash(flash: Buffer, bl1: Extent): FlashParts {
  const fip = findFip(flash, bl1.offset + bl1.size);
  const inside = flash.subarray(fip);
  const images = [...readFip(inside)].map(
    ([name, { offset, size }]) => [name, inside.subarray(offset, offset + size)] as const,
  );
  return { flash, bl1, fip, images: new Map(images) };
}

/**
 * Says what a flash holds. Taken out: the certificates' keys, serial numbers and signatures; the hashes that they hold of images that
 * stand beside them; the hash of the root of trust in BL1 and BL2; the key for the FIT in U-Boot's control tree; `applicationKey`,
 * the modulus that OP-TEE holds. Returns the keys. Throws `builder/bad-fip`, `trust/malformed`.
 */
export function addFlash(facts: Facts, parts: FlashParts, applicationKey: Uint8Array | undefined): FlashKeys {
  const { flash, bl1, images } = parts;
  const fingerprints: Record<string, string> = {};
  const named = new Map([...images].map(([name, bytes]) => [sha256(bytes), titles[name] ?? name]));
  for (const [name, bytes] of images)
    if (certificate.test(name)) fingerprints[name] = addCertificate(facts, name, bytes, named);
  // BL2's certificate is signed by the root of trust: BL1 and BL2 hold the hash of that key.
  const root = Buffer.from(fingerprints['tb-fw-cert'] ?? '', 'hex');
  const bl1Bytes = flash.subarray(bl1.offset, bl1.offset + bl1.size);
  facts.addBytes('flash/bl1', bl1Bytes, without(bl1Bytes, root));
  for (const [name, bytes] of images) {
    const place = `flash/${titles[name] ?? name}`;
    if (name === 'bl2') facts.addBytes(place, bytes, without(bytes, root));
    else if (name === 'bl32-extra1') facts.addBytes(place, bytes, without(bytes, applicationKey));
    else if (name === 'bl33') fingerprints['fit'] = addUBoot(facts, place, bytes);
    else if (!certificate.test(name)) facts.addBytes(place, bytes);
  }
  facts.add('flash', 'size', flash.length);
  facts.add('flash', 'images', [...images.keys()].join(' '));
  facts.add('flash', 'rest', restOf(parts));
  return { fingerprints };
}

function addCertificate(
  facts: Facts,
  name: string,
  bytes: Uint8Array,
  images: ReadonlyMap<string, string>,
): string {
  const place = `flash/${name}`;
  const { frame, serial, publicKey, extensions, signature } = readTbbrCertificate(bytes);
  const key = sha256(publicKey);
  facts.add(place, 'frame', shortDigest(frame));
  facts.add(place, 'serial', Buffer.from(serial).toString('hex'), 'a serial number');
  facts.add(place, 'key', key, 'a key');
  facts.add(place, 'signature', shortDigest(signature), 'a signature');
  for (const [i, { oid, raw, key: vouched, image, counter }] of extensions.entries()) {
    const aspect = `extension ${i + 1} (${oid})`;
    const beside = image === undefined ? undefined : images.get(image);
    if (vouched !== undefined) facts.add(place, aspect, vouched, 'a key');
    else if (counter !== undefined) facts.add(place, aspect, `counter ${counter}`);
    else if (beside !== undefined) facts.add(place, aspect, `hash ${image}`, `hash of ${beside}`);
    else facts.add(place, aspect, image === undefined ? shortDigest(raw) : `hash ${image}`);
  }
  return key;
}

/** What of a key node in U-Boot's control tree is the key (U-Boot `doc/usage/fit/signature.rst`). */
const keyProperty = /^(rsa,.*|algo)$/;
const keyMeaning: PropertyMeaning = (path, { name }) =>
  /^\/signature\/[^/]+$/.test(path) && keyProperty.test(name) ? 'a key' : undefined;

/** U-Boot's code and its control tree; returns the fingerprint of the keys that it requires. */
function addUBoot(facts: Facts, place: string, bytes: Buffer): string {
  const found = controlTree(bytes);
  if (found === undefined) {
    facts.addBytes(place, bytes);
    return '';
  }
  facts.addBytes(place, bytes.subarray(0, found.offset));
  addTree(facts, `${place}/control-tree`, found.tree.root, keyMeaning);
  const keys = findNode(found.tree.root, '/signature')?.children ?? [];
  return sha256(Buffer.concat(keys.map((key) => propertyOf(key, 'rsa,modulus') ?? new Uint8Array())));
}

/** The device tree that ends where the image ends. */
function controlTree(bytes: Buffer): { offset: number; tree: DeviceTreeBlob } | undefined {
  const magic = Buffer.from('d00dfeed', 'hex');
  for (let offset = bytes.lastIndexOf(magic); offset > 0; offset = bytes.lastIndexOf(magic, offset - 1)) {
    if (offset + 8 > bytes.length || offset + bytes.readUInt32BE(offset + 4) !== bytes.length) continue;
    return { offset, tree: readDeviceTreeBlob(bytes.subarray(offset)) };
  }
  return undefined;
}

/** What of the flash is neither BL1 nor the FIP's table nor one of its images: erased, in an image that was built. */
function restOf({ flash, bl1, fip, images }: FlashParts): string {
  const rest = Buffer.from(flash);
  rest.fill(0xff, bl1.offset, bl1.offset + bl1.size);
  // The header, an entry for each image and one that ends the table.
  rest.fill(0xff, fip, fip + 16 + (images.size + 1) * 40);
  for (const bytes of images.values()) {
    const start = bytes.byteOffset - flash.byteOffset;
    rest.fill(0xff, start, start + bytes.length);
  }
  return isAll(0xff, rest) ? 'erased' : shortDigest(rest);
}

/** True when all bytes are `value`. */
export function isAll(value: number, bytes: Buffer): boolean {
  // A byte equal to the one before, for all of them.
  return bytes.length === 0 || (bytes[0] === value && bytes.subarray(1).equals(bytes.subarray(0, -1)));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
