// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { KeyProfile } from '@mbl/trust';
import { readText } from './read-text.ts';
import { type JsonRecord, readRecord } from './record.ts';

/** The components of an image, in the order of their instances of LwM2M object 14. */
export const componentNames = ['boot-firmware', 'kernel', 'root'] as const;

export type ComponentName = (typeof componentNames)[number];

/** As many steps as a counter in the secure flash has. */
export const maxRollbackIndex = 1024;

/** What an image is: `/etc/mbl/image.json` in its root, made before the root is sealed. */
export interface ImageIdentity {
  readonly version: 1;
  readonly machine: string;
  readonly image: string;
  /** 16 hex digits. */
  readonly buildId: string;
  /** What the keys are for that signed it. An image that does not say is read as one of development keys: it proves nothing else. */
  readonly keys: KeyProfile;
  readonly components: Readonly<Record<ComponentName, { readonly version: string }>>;
}

/** A run of bytes; what `offset` counts from is said where it is used. */
export interface Extent {
  readonly offset: number;
  readonly size: number;
}

/** A partition where it stands on the disk. */
export interface PlacedPartition extends Extent {
  readonly name: string;
}

/**
 * `image.json` of a build: what the image is and where its parts are. Offsets and sizes are bytes; those of `flash.parts` count from
 * the start of the flash, of `disk.partitions` from the start of the disk, of `fit.parts` from the start of the FIT.
 */
export interface ImageDescription extends ImageIdentity {
  /** Digests and root hash as 64 hex digits. */
  readonly components: {
    readonly 'boot-firmware': { readonly version: string; readonly sha256: string };
    readonly kernel: { readonly version: string; readonly sha256: string };
    readonly root: { readonly version: string; readonly rootHash: string };
  };
  readonly flash: {
    readonly file: string;
    readonly size: number;
    readonly parts: Readonly<Record<string, Extent>>;
  };
  readonly disk: {
    readonly file: string;
    readonly size: number;
    readonly sectorSize: 512;
    readonly partitions: readonly PlacedPartition[];
  };
  readonly fit: {
    /** A board that has confirmed a higher one does not start it. Not in what older builds wrote: 0. */
    readonly rollbackIndex?: number;
    readonly parts: Readonly<Record<string, Extent>>;
  };
  readonly root: {
    readonly dataSize: number;
    readonly hashOffset: number;
    readonly rootHash: string;
    /** Hex; not in what older builds wrote. */
    readonly salt?: string;
  };
  /** Absent where no emulator knows the machine. The two consoles have the numbers 0 and 1. */
  readonly emulator?: {
    readonly binary: string;
    readonly args: readonly string[];
    /** What `-device` says for the board's disk. */
    readonly disk: string;
    readonly serialConsole: number;
    readonly secureConsole: number;
  };
}

export const maxImageBytes = 1 << 20;

const maxParts = 128;
const name = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const hash = /^[0-9a-f]{64}$/;

/** Reads what an image says of itself. `path` is for messages. Throws `formats/bad-image`. */
export function parseImageIdentity(text: string, path: string): ImageIdentity {
  return identity(open(text, path));
}

/** The description in a build's folder; undefined when there is none. Throws `formats/bad-image`, `formats/too-large`. */
export async function readImage(directory: string): Promise<ImageDescription | undefined> {
  const path = join(directory, 'image.json');
  const text = await readText(path, maxImageBytes);
  return text === undefined ? undefined : parseImage(text, path);
}

/** Reads the description of a build. `path` is for messages. Throws `formats/bad-image`. */
export function parseImage(text: string, path: string): ImageDescription {
  const json = open(text, path);
  const { components, ...known } = identity(json);
  const given = json.object('components');
  const [flash, disk, root] = [json.object('flash'), json.object('disk'), json.object('root')];
  const fit = json.object('fit');
  const description: ImageDescription = {
    ...known,
    components: {
      'boot-firmware': {
        ...components['boot-firmware'],
        sha256: given.object('boot-firmware').string('sha256', hash),
      },
      kernel: { ...components.kernel, sha256: given.object('kernel').string('sha256', hash) },
      root: { ...components.root, rootHash: given.object('root').string('rootHash', hash) },
    },
    flash: { file: flash.string('file', name), size: flash.integer('size'), parts: parts(flash) },
    disk: {
      file: disk.string('file', name),
      size: disk.integer('size'),
      sectorSize: 512,
      partitions: disk
        .objects('partitions', maxParts)
        .map((one) => ({ name: one.string('name', name), ...extent(one) })),
    },
    fit: {
      ...(fit.is('rollbackIndex', undefined)
        ? {}
        : { rollbackIndex: fit.integer('rollbackIndex', maxRollbackIndex) }),
      parts: parts(fit),
    },
    root: {
      dataSize: root.integer('dataSize'),
      hashOffset: root.integer('hashOffset'),
      rootHash: root.string('rootHash', hash),
      ...(root.is('salt', undefined) ? {} : { salt: root.string('salt', /^(?:[0-9a-f]{2})*$/, 512) }),
    },
    ...(json.is('emulator', undefined) ? {} : { emulator: emulator(json.object('emulator')) }),
  };
  if (!disk.is('sectorSize', 512)) throw json.fail('"disk.sectorSize" must be 512');
  within(description.flash.size, Object.entries(description.flash.parts), 'the flash', json);
  const { partitions } = description.disk;
  within(
    description.disk.size,
    partitions.map((one) => [one.name, one]),
    'the disk',
    json,
  );
  return description;
}

/** The text of `image.json`, of a build or of a root. */
export function formatImage(image: ImageIdentity | ImageDescription): string {
  return `${JSON.stringify(image, undefined, 2)}\n`;
}

function open(text: string, path: string): JsonRecord {
  return readRecord(text, {
    path,
    code: 'formats/bad-image',
    remedy: 'Build the image again with: ./mbl build',
    most: maxImageBytes,
  });
}

function identity(json: JsonRecord): ImageIdentity {
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const components = json.object('components');
  const component = (which: ComponentName) => ({ version: components.object(which).string('version') });
  return {
    version: 1,
    machine: json.string('machine', name),
    image: json.string('image', name),
    buildId: json.string('buildId', /^[0-9a-f]{16}$/),
    keys: keysOf(json),
    components: {
      'boot-firmware': component('boot-firmware'),
      kernel: component('kernel'),
      root: component('root'),
    },
  };
}

function keysOf(json: JsonRecord): KeyProfile {
  if (json.is('keys', 'production')) return 'production';
  if (json.is('keys', 'development') || json.is('keys', undefined)) return 'development';
  throw json.fail('"keys" must be "development" or "production"');
}

function emulator(json: JsonRecord): NonNullable<ImageDescription['emulator']> {
  const consoles = {
    serialConsole: json.integer('serialConsole', 1),
    secureConsole: json.integer('secureConsole', 1),
  };
  if (consoles.serialConsole === consoles.secureConsole)
    throw json.fail('the two consoles must have the numbers 0 and 1');
  // A program by its name, and none but QEMU: whoever hands over an image does not choose what runs here.
  return {
    binary: json.string('binary', /^qemu-system-[a-z0-9_]{1,32}$/),
    args: json.strings('args', maxParts, 4096),
    disk: json.string('disk', /^[A-Za-z0-9][A-Za-z0-9._,=-]{0,199}$/),
    ...consoles,
  };
}

function parts(json: JsonRecord): Record<string, Extent> {
  return Object.fromEntries(json.entries('parts', maxParts).map(([part, at]) => [part, extent(at)]));
}

function extent(json: JsonRecord): Extent {
  return { offset: json.integer('offset'), size: json.integer('size') };
}

function within(
  size: number,
  extents: readonly (readonly [string, Extent])[],
  where: string,
  json: JsonRecord,
): void {
  for (const [part, at] of extents) {
    if (at.offset + at.size > size) throw json.fail(`"${part}" does not lie within ${where}`);
  }
}
