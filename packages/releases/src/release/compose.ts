// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { treeSize, VerityHasher } from '@mbl/blocks';
import {
  type ComponentName,
  formatRelease,
  type ImageDescription,
  osTeam,
  parseRelease,
  readImage,
  readText,
  type Release,
  type ReleaseComponent,
  type ReleaseFile,
  type ReleaseImage,
} from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { fipSize, fitSize } from './extents.ts';
import { componentPath, releasePath } from './paths.ts';
import { basesOf, makePayload } from './payload.ts';
import { keepFile, keepTarget } from './store.ts';

export interface ComposeOptions {
  readonly name: string;
  /** Folders of built images, one a machine. */
  readonly images: readonly string[];
  /** Which components. Kernel and root go together: the FIT names its root. */
  readonly components: readonly ComponentName[];
  /** Not below that of an image's FIT, which is the default: the highest of them. */
  readonly rollbackIndex?: number;
  readonly notes: string;
  /** The repository's folder. */
  readonly repository: string;
  /** The releases before this one, in their order: devices that run one of the newest of them copy what they have. */
  readonly before?: readonly Release[];
  /** Of zstd, for the payloads: 1 to 22; default 19. */
  readonly level?: number;
  readonly signal?: AbortSignal;
}

/** A release whose files are in the repository; nobody has signed it yet. */
export interface ComposedRelease {
  readonly release: Release;
  /** What the team is to vouch for. */
  readonly targets: readonly { readonly path: string; readonly length: number; readonly sha256: string }[];
}

const files = { 'boot-firmware': 'boot-firmware.fip', kernel: 'kernel.itb', root: 'root.img' } as const;
const maxPackagesBytes = 16 << 20;

/**
 * Makes a release of built images: takes each component out of flash and disk, holds it against `image.json`, and puts it into the
 * repository by its content. The same images give the same release.
 *
 * Throws `release/no-image`, `release/bad-image` for one that is not what its `image.json` says, `release/mixed-keys`,
 * `release/rollback-index`, `formats/bad-image`, `formats/bad-release`.
 */
export async function composeRelease(options: ComposeOptions): Promise<ComposedRelease> {
  const { name, notes, repository } = options;
  const targets = new Map<string, { path: string; length: number; sha256: string }>();
  const add = (file: ReleaseFile) => {
    const path = componentPath(osTeam, file);
    targets.set(path, { path, length: file.size, sha256: file.sha256 });
  };
  const images: ReleaseImage[] = [];
  const profiles = new Set<ImageDescription['keys']>();
  let lowestIndex = 0;
  for (const folder of options.images) {
    const description = await readImage(folder);
    if (description === undefined)
      throw new MblError('release/no-image', `There is no image in ${folder}.`, {
        remedy: 'Build one with: ./mbl build',
        details: { folder },
      });
    profiles.add(description.keys);
    lowestIndex = Math.max(lowestIndex, description.fit.rollbackIndex ?? 0);
    images.push(await composeImage(folder, description, options));
  }
  const [keys] = profiles;
  if (keys === undefined || profiles.size > 1)
    throw new MblError(
      'release/mixed-keys',
      'The images of a release must be signed with keys of one kind.',
      {
        remedy:
          'Make one release of the images with development keys, and one of those with production keys.',
      },
    );
  const rollbackIndex = options.rollbackIndex ?? lowestIndex;
  // A board counts what the FIT says: one of two that run by the same release would refuse what the other takes.
  if (rollbackIndex < lowestIndex)
    throw new MblError(
      'release/rollback-index',
      `The rollback index ${rollbackIndex} is below that of an image, which is ${lowestIndex}.`,
      { remedy: 'Leave it out, or take a higher one.' },
    );
  const text = formatRelease({ version: 1, team: osTeam, name, keys, rollbackIndex, notes, images });
  // What nobody could read is not given out.
  const release = parseRelease(text, `release ${name}`);
  for (const image of images) {
    for (const component of image.components) {
      add(component);
      if (component.payload !== undefined) add(component.payload);
    }
    if (image.packages !== undefined) add(image.packages);
  }
  const content = Buffer.from(text);
  const path = releasePath(osTeam, name);
  const sha256 = sha256Of(content);
  await keepTarget(repository, path, content);
  targets.set(path, { path, length: content.length, sha256 });
  return { release, targets: [...targets.values()] };
}

async function composeImage(
  folder: string,
  description: ImageDescription,
  options: ComposeOptions,
): Promise<ReleaseImage> {
  const wanted = new Set(options.components);
  const components: ReleaseComponent[] = [];
  if (wanted.has('boot-firmware')) components.push(await firmware(folder, description, options));
  const kernel = wanted.has('kernel') ? await fit(folder, description, options) : undefined;
  const root = wanted.has('root') ? await rootImage(folder, description, options) : undefined;
  if (kernel !== undefined || root !== undefined) {
    if (kernel === undefined || root === undefined)
      throw new MblError(
        'release/incomplete',
        'Kernel and root go together: the signed FIT names its root by its hash.',
        {
          remedy: 'Take both, or the boot firmware alone.',
        },
      );
    components.push(
      { ...kernel, requires: [{ component: 'root', sha256: root.sha256 }] },
      { ...root, requires: [{ component: 'kernel', sha256: kernel.sha256 }] },
    );
  }
  const { machine, image, buildId } = description;
  const packages = await bill(folder, options);
  const { repository, before = [], level = 19, signal = new AbortController().signal } = options;
  const bases = basesOf(before, machine);
  const withPayloads: ReleaseComponent[] = [];
  for (const component of components) {
    const payload = await makePayload(component, {
      repository,
      team: osTeam,
      bases: bases(component.name),
      level,
      signal,
    });
    withPayloads.push({ ...component, payload });
  }
  return {
    machine,
    image,
    buildId,
    components: withPayloads,
    ...(packages === undefined ? {} : { packages }),
  };
}

/** The FIP: what is in bank A of the flash, without the erased rest. BL1 is in ROM, or in a flash that nobody writes. */
async function firmware(
  folder: string,
  { components, flash }: ImageDescription,
  options: ComposeOptions,
): Promise<ReleaseComponent> {
  const bank = flash.parts['bank_a'];
  if (bank === undefined) throw badImage(folder, 'its flash has no bank_a');
  await using file = await open(join(folder, flash.file), 'r');
  const bytes = Buffer.alloc(bank.size);
  await file.read(bytes, 0, bank.size, bank.offset);
  const size = fipSize(bytes);
  if (size === undefined) throw badImage(folder, 'bank_a of its flash holds no firmware image package');
  const whole = createHash('sha256');
  for await (const piece of file.createReadStream({ start: 0, autoClose: false }))
    whole.update(piece as Buffer);
  const { version, sha256 } = components['boot-firmware'];
  if (whole.digest('hex') !== sha256) throw badImage(folder, `${flash.file} has changed since it was built`);
  return await keep('boot-firmware', version, [bytes.subarray(0, size)], options);
}

async function fit(
  folder: string,
  { components, disk }: ImageDescription,
  options: ComposeOptions,
): Promise<ReleaseComponent> {
  const at = disk.partitions.find(({ name }) => name === 'boot_a');
  if (at === undefined) throw badImage(folder, 'its disk has no boot_a');
  await using file = await open(join(folder, disk.file), 'r');
  const start = Buffer.alloc(8);
  await file.read(start, 0, start.length, at.offset);
  const size = fitSize(start);
  if (size === undefined || size > at.size) throw badImage(folder, 'boot_a of its disk holds no FIT');
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, at.offset);
  if (sha256Of(bytes) !== components.kernel.sha256)
    throw badImage(folder, 'the FIT in boot_a has changed since it was built');
  return await keep('kernel', components.kernel.version, [bytes], options);
}

async function rootImage(
  folder: string,
  description: ImageDescription,
  options: ComposeOptions,
): Promise<ReleaseComponent> {
  const { components, disk, root } = description;
  const at = disk.partitions.find(({ name }) => name === 'root_a');
  if (at === undefined) throw badImage(folder, 'its disk has no root_a');
  if (root.salt === undefined)
    throw badImage(folder, 'an older program built it, which did not note the salt of the root');
  const size = root.hashOffset + treeSize(root.dataSize / 4096);
  if (root.dataSize % 4096 !== 0 || root.hashOffset !== root.dataSize || size > at.size)
    throw badImage(folder, 'its root does not fit into root_a');
  await using file = await open(join(folder, disk.file), 'r');
  const hasher = new VerityHasher(Buffer.from(root.salt, 'hex'));
  const pieces = async function* read() {
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (let offset = 0; offset < size; ) {
      options.signal?.throwIfAborted();
      const { bytesRead } = await file.read(
        buffer,
        0,
        Math.min(buffer.length, size - offset),
        at.offset + offset,
      );
      if (bytesRead === 0) throw badImage(folder, 'its disk ends within root_a');
      const piece = buffer.subarray(0, bytesRead);
      if (offset < root.dataSize) hasher.update(piece.subarray(0, root.dataSize - offset));
      offset += bytesRead;
      yield piece;
    }
  };
  const kept = await keep('root', components.root.version, pieces(), options);
  if (hasher.finish().rootHash !== components.root.rootHash)
    throw badImage(folder, 'its root has changed since it was built');
  const { dataSize, hashOffset, rootHash, salt } = root;
  return { ...kept, verity: { dataSize, hashOffset, rootHash, salt } };
}

/** The bill of materials, where the build has one. */
async function bill(folder: string, { repository }: ComposeOptions): Promise<ReleaseFile | undefined> {
  const name = 'packages.cdx.json';
  const text = await readText(join(folder, name), maxPackagesBytes);
  if (text === undefined) return undefined;
  const content = Buffer.from(text);
  return await keepFile({ repository, team: osTeam }, name, (write) => write(content));
}

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Writes a component to its place, which its content gives, and describes it. */
async function keep(
  name: ComponentName,
  version: string,
  pieces: Pieces,
  { repository }: ComposeOptions,
): Promise<ReleaseComponent> {
  const file = await keepFile({ repository, team: osTeam }, files[name], async (write) => {
    for await (const piece of pieces) await write(piece);
  });
  return { name, version, ...file, requires: [] };
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function badImage(folder: string, why: string): MblError {
  return new MblError('release/bad-image', `The image in ${folder} cannot be released: ${why}.`, {
    remedy: 'Build it again with: ./mbl build',
    details: { folder },
  });
}
