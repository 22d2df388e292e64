// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** What an inode says; the content of files is not read here: it is compressed. */
export interface ErofsEntry {
  /** Without a slash at the start; empty for the top folder. */
  readonly path: string;
  /** Type and permissions, as in `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970; undefined where the inode has none and the superblock's holds. */
  readonly time: number | undefined;
  /** Device number of a device node, else 0. */
  readonly device: number;
  /** The extended attributes as they are stored, shared ones in place of their numbers. */
  readonly attributes: Buffer;
  readonly target: string | undefined;
}

export interface ErofsListing {
  readonly uuid: string;
  readonly label: string;
  readonly entries: readonly ErofsEntry[];
}

// Linux `fs/erofs/erofs_fs.h`.
const superblock = 1024;
const magic = 0xe0f5e1e2;
const slot = 32;
const layouts = { plain: 0, inline: 2 } as const;
const types = {
  mask: 0o170000,
  folder: 0o040000,
  link: 0o120000,
  block: 0o060000,
  character: 0o020000,
} as const;
const limits = { entries: 200_000, depth: 64, folder: 16 * 1024 * 1024, link: 4096 } as const;

/**
 * The files of an erofs file system with owner, mode, size, time and extended attributes, sorted by path. For bytes of any origin: throws
 * nothing but `builder/bad-erofs`.
 */
export function listErofs(image: Buffer): ErofsListing {
  if (image.length < superblock + 128 || image.readUInt32LE(superblock) !== magic)
    throw bad('it has no superblock');
  try {
    return new Reader(image).list();
  } catch (cause) {
    // A place outside of the image.
    if (cause instanceof RangeError) throw bad('it is cut off', cause);
    throw cause;
  }
}

interface Inode {
  readonly at: number;
  readonly headerSize: number;
  readonly layout: number;
  readonly mode: number;
  readonly size: number;
  readonly start: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: number | undefined;
  readonly attributesSize: number;
}

class Reader {
  readonly #image: Buffer;
  readonly #blockSize: number;
  readonly #inodes: number;
  readonly #shared: number;
  readonly #entries: ErofsEntry[] = [];

  constructor(image: Buffer) {
    this.#image = image;
    const bits = image.readUInt8(superblock + 12);
    if (bits < 9 || bits > 16) throw bad('its block size is strange');
    this.#blockSize = 1 << bits;
    this.#inodes = image.readUInt32LE(superblock + 40) * this.#blockSize;
    this.#shared = image.readUInt32LE(superblock + 44) * this.#blockSize;
  }

  list(): ErofsListing {
    this.#visit(BigInt(this.#image.readUInt16LE(superblock + 14)), '', 0);
    const entries = this.#entries.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    // Who unpacks it must not meet a link where the listing has a folder.
    if (entries.some(({ path }, i) => path === entries[i + 1]?.path)) throw bad('a file is there twice');
    const text = this.#slice(superblock + 64, 16);
    return {
      uuid: this.#slice(superblock + 48, 16).toString('hex'),
      label: text.toString('utf8', 0, Math.max(0, text.indexOf(0))),
      entries,
    };
  }

  #visit(nid: bigint, path: string, depth: number): void {
    if (this.#entries.length === limits.entries) throw bad(`it has more than ${limits.entries} files`);
    if (depth > limits.depth) throw bad(`it has more than ${limits.depth} levels`);
    const inode = this.#inode(nid);
    const { mode, uid, gid, size, time, start } = inode;
    const type = mode & types.mask;
    const target = type === types.link ? this.#content(inode, limits.link).toString() : undefined;
    const device = type === types.block || type === types.character ? start : 0;
    const attributes = this.#attributes(inode);
    this.#entries.push({ path, mode, uid, gid, size, time, device, attributes, target });
    if (type !== types.folder) return;
    for (const [name, child] of this.#names(this.#content(inode, limits.folder)))
      this.#visit(child, path === '' ? name : `${path}/${name}`, depth + 1);
  }

  #inode(nid: bigint): Inode {
    const at = Number(BigInt(this.#inodes) + nid * BigInt(slot));
    const format = this.#image.readUInt16LE(at);
    const extended = (format & 1) === 1;
    const attributeCount = this.#image.readUInt16LE(at + 2);
    return {
      at,
      headerSize: extended ? 64 : 32,
      layout: (format >> 1) & 7,
      mode: this.#image.readUInt16LE(at + 4),
      size: extended ? Number(this.#image.readBigUInt64LE(at + 8)) : this.#image.readUInt32LE(at + 8),
      start: this.#image.readUInt32LE(at + 16),
      uid: extended ? this.#image.readUInt32LE(at + 24) : this.#image.readUInt16LE(at + 24),
      gid: extended ? this.#image.readUInt32LE(at + 28) : this.#image.readUInt16LE(at + 26),
      time: extended ? Number(this.#image.readBigUInt64LE(at + 32)) : undefined,
      attributesSize: attributeCount === 0 ? 0 : 12 + (attributeCount - 1) * 4,
    };
  }

  /** Of folders and links, which are never compressed: whole blocks, and what is left of the last one behind the inode. */
  #content({ at, headerSize, attributesSize, layout, size, start }: Inode, most: number): Buffer {
    if (size > most) throw bad('a folder or a link is too large');
    if (layout !== layouts.plain && layout !== layouts.inline) throw bad('a folder or a link is compressed');
    const whole = layout === layouts.plain ? size : size - (size % this.#blockSize);
    return Buffer.concat([
      this.#slice(start * this.#blockSize, whole),
      this.#slice(at + headerSize + attributesSize, size - whole),
    ]);
  }

  *#names(folder: Buffer): Generator<[string, bigint]> {
    for (let offset = 0; offset < folder.length; offset += this.#blockSize) {
      const block = folder.subarray(offset, offset + this.#blockSize);
      const first = block.readUInt16LE(8);
      if (first < 12 || first % 12 !== 0 || first > block.length) throw bad('a folder is not well formed');
      for (let at = 0; at < first; at += 12) {
        const start = block.readUInt16LE(at + 8);
        const end = at + 12 < first ? block.readUInt16LE(at + 12 + 8) : block.length;
        if (start < first || end < start || end > block.length) throw bad('a folder is not well formed');
        const name = block.toString('utf8', start, end).replace(/\0.*$/s, '');
        if (name === '.' || name === '..') continue;
        if (name === '' || name.includes('/')) throw bad('a file has a strange name');
        yield [name, block.readBigUInt64LE(at)];
      }
    }
  }

  #attributes({ at, headerSize, attributesSize }: Inode): Buffer {
    if (attributesSize === 0) return Buffer.alloc(0);
    const own = this.#slice(at + headerSize, attributesSize);
    const count = own.readUInt8(4);
    const shared = Array.from({ length: count }, (_, i) => {
      const entry = this.#shared + own.readUInt32LE(12 + i * 4) * 4;
      const size = 4 + this.#image.readUInt8(entry) + this.#image.readUInt16LE(entry + 2);
      return this.#slice(entry, size);
    });
    return Buffer.concat([own.subarray(12 + count * 4), ...shared]);
  }

  #slice(start: number, size: number): Buffer {
    if (size > 0 && start + size > this.#image.length) throw bad('it is cut off');
    return this.#image.subarray(start, start + size);
  }
}

function bad(what: string, cause?: unknown): MblError {
  return new MblError('builder/bad-erofs', `The root file system cannot be read: ${what}.`, {
    remedy: 'Build the image again with: ./mbl build',
    cause,
  });
}
