// SPDX-License-Identifier: Apache-2.0
import type { Tools } from './tools.ts';
import { type Appearance, type Inspection, inspect, inspectedSize, resealed } from './superblock.ts';

/** A file system of the board that the board makes itself. */
export interface Volume {
  readonly name: 'config' | 'data';
  readonly device: string;
  /** Where it is mounted. */
  readonly folder: string;
  /** mke2fs(8): what it is made with beside the common arguments. */
  readonly makeArguments: readonly string[];
  /** mount(8). */
  readonly mountOptions: string;
}

/** How a volume was found and what became of it. */
export interface Examined {
  readonly volume: Volume;
  readonly before: Appearance;
  readonly ready: boolean;
  /** e2fsck mended it. */
  readonly repaired: boolean;
  /** Why it was not used as it was; empty when it was. */
  readonly reason: string;
}

/** Long enough for a disk of the size that a board has, short enough that somebody still waits. */
const deadlines = { mount: 60_000, check: 300_000, make: 120_000, label: 30_000 } as const;

const features =
  'none,has_journal,filetype,sparse_super,large_file,dir_index,extent,huge_file,flex_bg,dir_nlink,extra_isize,64bit,metadata_csum';

/** The two volumes, whose partitions the initramfs linked to in `disks`. */
export function boardVolumes(disks: string): { readonly config: Volume; readonly data: Volume } {
  const common = 'nosuid,nodev,noexec,noatime,errors=remount-ro';
  return {
    config: {
      name: 'config',
      device: `${disks}/config`,
      folder: '/config',
      makeArguments: ['-O', features, '-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0'],
      mountOptions: `rw,${common}`,
    },
    data: {
      name: 'data',
      device: `${disks}/data`,
      folder: '/data',
      // Apps are measured (verity) and bounded (project quotas): a partition in the field cannot get these later.
      makeArguments: [
        ...['-O', `${features},verity,quota,project`],
        ...['-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,quotatype=prjquota'],
      ],
      mountOptions: `rw,${common},prjquota`,
    },
  };
}

export function labelOf(volume: Volume): string {
  return `mbl-${volume.name}`;
}

/** Mounts a volume as it is, or as e2fsck makes it; it is not `ready` when it has to be made. */
export async function examine(volume: Volume, tools: Tools): Promise<Examined> {
  const found = await look(volume, tools);
  const { appearance: before } = found;
  let reason = `it is ${before}`;
  if (before === 'made') {
    if (!found.errors) {
      reason = (await mountVolume(volume, tools)) ?? '';
      if (reason === '') return { volume, before, ready: true, repaired: false, reason };
    } else reason = 'the kernel noted an error in it';
  }
  // Nothing was in it yet.
  if (before === 'unfinished') return { volume, before, ready: false, repaired: false, reason };
  if (before === 'made') await mendChecksum(volume, tools);
  // Also of a start that is zero: the file system has copies of its superblock further on.
  const check = await tools.run('e2fsck', ['-f', '-y', volume.device], deadlines.check);
  // e2fsck(8): 1 and 2 are errors that were corrected.
  const mended = check.code !== undefined && check.code <= 2;
  const ready =
    mended &&
    (await look(volume, tools)).appearance === 'made' &&
    (await mountVolume(volume, tools)) === undefined;
  return { volume, before, ready, repaired: ready, reason };
}

/**
 * Makes file systems. The label is the last thing that is written: what has it is whole and on the disk, and what a power cut leaves
 * without one is made again. The last volume of the list is labelled first. Returns why one could not be made, by name.
 */
export async function make(volumes: readonly Volume[], tools: Tools): Promise<Map<string, string>> {
  const failures = new Map<string, string>();
  const attempt = async (volume: Volume, step: () => Promise<string | undefined>): Promise<void> => {
    if (failures.has(volume.name)) return;
    const failure = await step().catch((error: unknown) => String(error));
    if (failure !== undefined) failures.set(volume.name, failure);
  };
  for (const volume of volumes)
    await attempt(volume, async () => {
      const args = ['-q', '-F', '-t', 'ext4', '-b', '4096', '-I', '256', '-m', '1', ...volume.makeArguments];
      const made = await tools.run('mke2fs', [...args, volume.device], deadlines.make);
      if (made.code !== 0) return made.said;
      await tools.sync(volume.device);
      return undefined;
    });
  for (const volume of volumes.toReversed())
    await attempt(volume, async () => {
      const labelled = await tools.run('e2label', [volume.device, labelOf(volume)], deadlines.label);
      if (labelled.code !== 0) return labelled.said;
      await tools.sync(volume.device);
      return undefined;
    });
  for (const volume of volumes) await attempt(volume, async () => await mountVolume(volume, tools));
  return failures;
}

/** Something to write to where the disk is not: gone at the next start. */
export async function mountMemory(volume: Volume, tools: Tools): Promise<void> {
  const options = 'nosuid,nodev,noexec,mode=0755,size=25%';
  await tools.run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', volume.folder], deadlines.mount);
}

/** Of a small file system there is no other superblock to fall back on. */
async function mendChecksum({ device }: Volume, tools: Tools): Promise<void> {
  const sealed = resealed(await tools.read(device, inspectedSize));
  if (sealed !== undefined) await tools.write(device, sealed.bytes, sealed.offset);
}

/** Returns why it cannot be mounted. */
async function mountVolume(
  { device, folder, mountOptions }: Volume,
  tools: Tools,
): Promise<string | undefined> {
  const args = ['-t', 'ext4', '-o', mountOptions, device, folder];
  const { code, said } = await tools.run('mount', args, deadlines.mount);
  return code === 0 ? undefined : said;
}

async function look(volume: Volume, tools: Tools): Promise<Inspection> {
  try {
    return inspect(await tools.read(volume.device, inspectedSize), labelOf(volume));
  } catch {
    return { appearance: 'damaged', errors: false };
  }
}
