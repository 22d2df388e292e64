// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatImage, type ImageDescription, type ImageIdentity, parseImage } from '@mbl/formats';
import { digestJson } from '../engine/canonical.ts';
import type { CodeFinder } from '../engine/code.ts';
import type { FlashParts } from '../firmware/flash.ts';
import type { FitParts } from '../kernel/fit-task.ts';
import type { RootReference } from '../kernel/root-reference.ts';
import type { Machine } from '../recipes/machine.ts';
import type { Json, Task } from '../task.ts';
import { createDisk, partitionNamed } from './partitions.ts';
import { copyInto } from './sparse.ts';
import { isCurrent, stamp } from './stamp.ts';

export interface AssembleOptions {
  readonly machine: Machine;
  readonly identity: ImageIdentity;
  /** Of the operating system: what the FIT says. */
  readonly rollbackIndex: number;
  readonly code: CodeFinder;
  /** What identifies the tools that lay out the disk. */
  readonly tools: Json;
  /** Output folders of the tasks `flash`, `fit`, `root` and `manifest`. */
  readonly flash: string;
  readonly fit: string;
  readonly root: string;
  readonly manifest: string;
  /** The text of `lock.json`. */
  readonly lock: string;
  /** The folder to make; an older one is replaced when the new one is whole. */
  readonly target: string;
  /** A file that remembers what the folder was made of. */
  readonly stampFile: string;
}

/** The step as part of a build's identity: what it adds to the outputs of tasks. */
export function imageStep({
  name,
  flash,
  partitions,
  emulator,
}: Machine): Pick<Task, 'inputs' | 'code' | 'tools'> {
  return {
    inputs: plain({ name, flash, partitions, emulator }),
    code: import.meta.filename,
    tools: ['image'],
  };
}

/**
 * Puts firmware and disk together as a board would get them, with `image.json`, bill of materials and lock beside them. A folder that
 * holds this image already stays. Returns the description.
 */
export async function assembleImage(options: AssembleOptions): Promise<ImageDescription> {
  const { target, stampFile } = options;
  const { code: finder, ...made } = options;
  const code = await finder.codeOf(import.meta.filename);
  const key = digestJson({ code, ...made } as unknown as Json);
  const file = join(target, 'image.json');
  if (await isCurrent(stampFile, key, target)) return parseImage(await readFile(file, 'utf8'), file);
  await mkdir(dirname(target), { recursive: true });
  const fresh = `${target}.${process.pid}.tmp`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh);
  try {
    const description = await fill(fresh, options);
    // A rename cannot replace a folder that is not empty; whoever is cut off in between finds no image, never half of one.
    await rm(target, { recursive: true, force: true });
    await rename(fresh, target);
    await stamp(stampFile, key, target);
    return description;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function fill(folder: string, options: AssembleOptions): Promise<ImageDescription> {
  const { machine, identity, rollbackIndex, flash, fit, root, manifest, lock } = options;
  await copySparse(join(flash, 'flash.bin'), join(folder, 'flash.bin'));
  const disk = join(folder, 'disk.img');
  const partitions = await createDisk(disk, machine.name, machine.partitions);
  await using file = await open(disk, 'r+');
  const put = async (name: string, source: string): Promise<void> => {
    const { offset, size } = partitionNamed(partitions, name);
    await copyInto(file, offset, source, size);
  };
  await put('boot_a', join(fit, 'fit.itb'));
  await put('root_a', join(root, 'root.img'));
  await file.sync();
  await copyFile(join(manifest, 'packages.cdx.json'), join(folder, 'packages.cdx.json'));
  await writeFile(join(folder, 'lock.json'), lock);
  const reference = await readJson<RootReference>(join(root, 'root.json'));
  const components = {
    'boot-firmware': {
      ...identity.components['boot-firmware'],
      sha256: await sha256(join(flash, 'flash.bin')),
    },
    kernel: { ...identity.components.kernel, sha256: await sha256(join(fit, 'fit.itb')) },
    root: { ...identity.components.root, rootHash: reference.rootHash },
  };
  const description: ImageDescription = {
    ...identity,
    components,
    flash: {
      file: 'flash.bin',
      size: machine.flash.size,
      parts: await readJson<FlashParts>(join(flash, 'flash.json')),
    },
    disk: { file: 'disk.img', size: (await file.stat()).size, sectorSize: 512, partitions },
    fit: { rollbackIndex, parts: await readJson<FitParts>(join(fit, 'fit.json')) },
    root: {
      dataSize: reference.dataSize,
      hashOffset: reference.hashOffset,
      rootHash: reference.rootHash,
      salt: reference.salt,
    },
    ...(machine.emulator === undefined ? {} : { emulator: machine.emulator }),
  };
  await writeFile(join(folder, 'image.json'), formatImage(description));
  return description;
}

/** A recipe's part as a value of JSON. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

async function copySparse(from: string, to: string): Promise<void> {
  await using source = await open(from);
  await using target = await open(to, 'wx');
  const { size } = await source.stat();
  await target.truncate(size);
  await copyInto(target, 0, from, size);
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
