// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';

/** A run of bytes; what `offset` counts from is said where it is used. */
export interface Extent {
  readonly offset: number;
  readonly size: number;
}

export interface Partition extends Extent {
  readonly name: string;
}

/** What the lab needs of `image.json` (ARCHITECTURE.md, "An image"). Offsets and sizes are bytes. */
export interface Image {
  readonly machine: string;
  readonly image: string;
  readonly buildId: string;
  readonly flash: {
    readonly file: string;
    readonly size: number;
    readonly parts: Readonly<Record<string, Extent>>;
  };
  readonly disk: {
    readonly file: string;
    readonly size: number;
    readonly sectorSize: number;
    readonly partitions: readonly Partition[];
  };
  readonly fit: { readonly parts: Readonly<Record<string, Extent>> };
  readonly root: { readonly dataSize: number; readonly hashOffset: number; readonly rootHash: string };
  readonly emulator: {
    readonly binary: string;
    readonly args: readonly string[];
    readonly serialConsole: number;
    readonly secureConsole: number;
  };
}

const maximumBytes = 1024 * 1024;
const maximumEntries = 128;

/** Reads `image.json` of a build folder (or of a board, which keeps a copy). */
export async function readImage(directory: string): Promise<Image> {
  const path = join(directory, 'image.json');
  const text = await readBounded(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause;
    throw new MblError('lab/unknown-image', `There is no image in ${directory}.`, {
      remedy: 'Build one with: ./mbl build',
      cause,
      details: { path },
    });
  });
  return parseImage(text, path);
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > maximumBytes) fail(path, `is larger than ${maximumBytes} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Parses the text of `image.json`. Throws only `MblError` `lab/image-invalid`. */
export function parseImage(text: string, path = 'image.json'): Image {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new MblError('lab/image-invalid', `${path} is not JSON.`, {
      remedy: 'Build the image again with: ./mbl build',
      cause,
      details: { path },
    });
  }
  const read = new Reader(path);
  const root = read.object(json, 'image.json');
  if (root.version !== 1) fail(path, 'has a version other than 1');
  const flash = read.object(root.flash, 'flash');
  const disk = read.object(root.disk, 'disk');
  const verity = read.object(root.root, 'root');
  const emulator = read.object(root.emulator, 'emulator');
  const image: Image = {
    machine: read.text(root.machine, 'machine'),
    image: read.text(root.image, 'image'),
    buildId: read.text(root.buildId, 'buildId'),
    flash: {
      file: read.fileName(flash.file, 'flash.file'),
      size: read.number(flash.size, 'flash.size'),
      parts: read.extents(flash.parts, 'flash.parts'),
    },
    disk: {
      file: read.fileName(disk.file, 'disk.file'),
      size: read.number(disk.size, 'disk.size'),
      sectorSize: read.number(disk.sectorSize, 'disk.sectorSize'),
      partitions: read.list(disk.partitions, 'disk.partitions').map((value, index) => {
        const where = `disk.partitions[${index}]`;
        return {
          name: read.text(read.object(value, where).name, `${where}.name`),
          ...read.extent(value, where),
        };
      }),
    },
    fit: { parts: read.extents(read.object(root.fit, 'fit').parts, 'fit.parts') },
    root: {
      dataSize: read.number(verity.dataSize, 'root.dataSize'),
      hashOffset: read.number(verity.hashOffset, 'root.hashOffset'),
      rootHash: read.text(verity.rootHash, 'root.rootHash'),
    },
    emulator: {
      binary: read.text(emulator.binary, 'emulator.binary'),
      args: read
        .list(emulator.args, 'emulator.args')
        .map((value, index) => read.text(value, `emulator.args[${index}]`)),
      serialConsole: read.number(emulator.serialConsole, 'emulator.serialConsole'),
      secureConsole: read.number(emulator.secureConsole, 'emulator.secureConsole'),
    },
  };
  check(image, path);
  return image;
}

function check(image: Image, path: string): void {
  if (!/^qemu-system-[a-z0-9_]+$/.test(image.emulator.binary)) {
    fail(path, `names an emulator that is not QEMU: ${image.emulator.binary}`);
  }
  const { serialConsole, secureConsole } = image.emulator;
  if (serialConsole + secureConsole !== 1) fail(path, 'must give the two consoles the numbers 0 and 1');
  for (const [name, part] of Object.entries(image.flash.parts)) {
    if (part.offset + part.size > image.flash.size) fail(path, `has flash part ${name} outside the flash`);
  }
  for (const part of image.disk.partitions) {
    if (part.offset + part.size > image.disk.size) fail(path, `has partition ${part.name} outside the disk`);
  }
}

function fail(path: string, what: string): never {
  throw new MblError('lab/image-invalid', `${path} ${what}.`, {
    remedy: 'Build the image again with: ./mbl build',
    details: { path },
  });
}

/** Takes values out of untrusted JSON; `where` names the place in a message. */
class Reader {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  object(value: unknown, where: string): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      fail(this.path, `lacks the object ${where}`);
    }
    return value as Record<string, unknown>;
  }

  list(value: unknown, where: string): unknown[] {
    if (!Array.isArray(value) || value.length > maximumEntries) fail(this.path, `lacks the list ${where}`);
    return value;
  }

  text(value: unknown, where: string): string {
    if (typeof value !== 'string' || value.includes('\0')) fail(this.path, `lacks the text ${where}`);
    return value;
  }

  fileName(value: unknown, where: string): string {
    const name = this.text(value, where);
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name)) {
      fail(this.path, `has a strange file name in ${where}`);
    }
    return name;
  }

  number(value: unknown, where: string): number {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      fail(this.path, `lacks the number ${where}`);
    }
    return value;
  }

  extent(value: unknown, where: string): Extent {
    const object = this.object(value, where);
    return {
      offset: this.number(object.offset, `${where}.offset`),
      size: this.number(object.size, `${where}.size`),
    };
  }

  extents(value: unknown, where: string): Record<string, Extent> {
    const entries = Object.entries(this.object(value, where));
    if (entries.length > maximumEntries) fail(this.path, `has too many entries in ${where}`);
    return Object.fromEntries(entries.map(([name, part]) => [name, this.extent(part, `${where}.${name}`)]));
  }
}
