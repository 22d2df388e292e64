// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { MblError } from '@mbl/trust';
import {
  type BlobNode,
  type BlobProperty,
  findNode,
  propertyOf,
  readDeviceTreeBlob,
} from '../../kernel/device-tree-blob.ts';
import { type ReadCpioEntry, readCpio } from '../../kernel/read-cpio.ts';
import { type RootReference, rootReferenceText } from '../../kernel/root-reference.ts';
import { type Facts, shortDigest } from './facts.ts';
import { addTree } from './tree-facts.ts';

const maximumInitramfs = 256 * 1024 * 1024;
/** RFC 8878 §3.1.1. */
const zstdMagic = Buffer.from('28b52ffd', 'hex');

/** A FIT taken apart. */
export interface FitContent {
  readonly tree: BlobNode;
  /** The compressed initramfs up to its last segment, which holds the reference to the root. */
  readonly base: Uint8Array;
  readonly files: readonly ReadCpioEntry[];
  /** The salt of the root that the initramfs opens. */
  readonly salt: Uint8Array;
}

/** Takes a FIT apart. Throws `builder/bad-device-tree`, `builder/bad-archive`. */
export function openFit(bytes: Uint8Array): FitContent {
  const { root: tree } = readDeviceTreeBlob(bytes);
  const data = imageData(tree, 'initramfs') ?? new Uint8Array();
  const initramfs = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const last = Math.max(0, initramfs.lastIndexOf(zstdMagic));
  const [base, reference] = [initramfs.subarray(0, last), initramfs.subarray(last)];
  const files = [base, reference].flatMap((segment) => readCpio(decompress(segment)));
  const salt = files.findLast(({ path }) => path === 'etc/root.salt')?.data ?? new Uint8Array();
  return { tree, base, files, salt };
}

/**
 * Says what a FIT holds. Taken out: the values and key kinds of its signatures; the hashes that it holds of its own images; in the
 * initramfs the reference to `root`, the root that stands beside it. Throws `builder/bad-device-tree`.
 */
export function addFit(facts: Facts, { tree, base, files }: FitContent, root: RootReference): void {
  addTree(facts, 'fit', tree, (path, property) => meaningOf(tree, path, property));
  // The large segment must be the same to the byte; the last one is told by its files.
  facts.add('fit/initramfs', 'base segment', shortDigest(base));
  for (const { path, mode, uid, gid, data } of files) {
    const place = `fit/initramfs/${path}`;
    const digest = shortDigest(data);
    facts.add(place, 'mode', mode.toString(8));
    facts.add(place, 'owner', `${uid}:${gid}`);
    if (path === 'etc/root.conf') {
      const text = Buffer.from(data).toString();
      facts.add(place, 'content', text, text.replace(rootReferenceText(root), '<the root>\n'));
    } else facts.add(place, 'content', digest);
  }
  const fdt = imageData(tree, 'fdt');
  if (fdt !== undefined) addTree(facts, 'fit/fdt', readDeviceTreeBlob(fdt).root, () => undefined);
}

function meaningOf(tree: BlobNode, path: string, { name, value }: BlobProperty): string | undefined {
  if (/^\/configurations\/[^/]+\/signature[^/]*$/.test(path))
    return name === 'value' ? 'a signature' : name === 'algo' ? 'kind of a signature' : undefined;
  const hashed = /^\/images\/([^/]+)\/hash[^/]*$/.exec(path)?.[1];
  if (hashed !== undefined && name === 'value') {
    const data = imageData(tree, hashed);
    return data !== undefined && sha256(data).equals(value) ? 'hash of the data' : undefined;
  }
  return path === '/images/initramfs' && name === 'data' ? 'files' : undefined;
}

function imageData(tree: BlobNode, name: string): Uint8Array | undefined {
  return propertyOf(findNode(tree, `/images/${name}`), 'data');
}

function decompress(bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return Buffer.alloc(0);
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: maximumInitramfs });
  } catch (cause) {
    throw new MblError('builder/bad-archive', 'The initramfs cannot be read: it is no zstd stream.', {
      remedy: 'Build the image again with: ./mbl build',
      cause,
    });
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
