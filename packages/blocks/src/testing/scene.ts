// SPDX-License-Identifier: Apache-2.0
import { formatCopyMap } from '../copy/copy-map.ts';
import { DigestTable, matchBlocks } from '../copy/match.ts';
import type { BlockSource } from '../devices.ts';
import { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE } from '../layout.ts';
import type { PayloadFile } from '../payload/format.ts';
import { writePayload } from '../payload/write.ts';
import type { MapFile, TransferOptions } from '../transfer/transfer.ts';
import { slotBlocks } from '../transfer/slot.ts';
import { MemoryDisk, MemoryJournal, MemorySource, Steps } from './devices.ts';
import { MemoryMirror } from './memory-mirror.ts';
import type { Random, Target } from './random.ts';

export interface Published {
  readonly payload: PayloadFile;
  readonly files: Map<string, Uint8Array>;
}

/** What a publisher makes of a target: its payload, and a copy map from each image that it knows. */
export async function publish(target: Target, bases: readonly BlockSource[]): Promise<Published> {
  const pieces: Uint8Array[] = [];
  const image = new MemorySource('image', target.data);
  const push = async (piece: Uint8Array): Promise<void> => void pieces.push(piece);
  // A low level: these images are many, and how small they become is the bench's.
  const made = await writePayload(image, target.target, push, { level: 1 });
  const files = new Map<string, Uint8Array>([['payload', Buffer.concat(pieces)]]);
  const hasher = new GroupHasher(target.target);
  const digests: Buffer[] = [];
  for (let at = 0; at < target.data.length; at += BLOCK_SIZE)
    digests.push(hasher.hash(target.data.subarray(at, at + BLOCK_SIZE)));
  const table = new DigestTable(Buffer.concat(digests));
  for (const base of bases) {
    const runs = await matchBlocks(table, base, hasher, new AbortController().signal);
    const map = { target: target.target.rootHash, source: '00'.repeat(32), runs };
    files.set(`map-${base.name}`, await formatCopyMap(map));
  }
  return { payload: { file: 'payload', ...made }, files };
}

/** A device with a slot that runs, an idle slot with something older in it, and a mirror. */
export interface Scene {
  readonly options: TransferOptions;
  readonly running: MemorySource;
  readonly disk: MemoryDisk;
  readonly mirror: MemoryMirror;
  readonly journal: MemoryJournal;
  /** Everything that touches the outside counts with these. */
  use(steps: Steps): void;
}

export const stall = 12_345;

export function scene(
  target: Target,
  published: Published,
  images: { readonly running: Buffer; readonly idle: Buffer },
  more: { readonly useMaps?: boolean; readonly options?: Partial<TransferOptions> } = {},
): Scene {
  const blocks = slotBlocks(target.target.dataBlocks) + 3;
  const slot = Buffer.alloc(blocks * BLOCK_SIZE, 0x5a);
  images.idle.copy(slot);
  const running = new MemorySource('root_a', images.running);
  const disk = new MemoryDisk('root_b', slot);
  const mirror = new MemoryMirror('mirror', published.files);
  const journal = new MemoryJournal();
  const mapFile = (source: BlockSource): MapFile[] => {
    const size = published.files.get(`map-${source.name}`)?.length;
    return size === undefined ? [] : [{ source, file: `map-${source.name}`, size }];
  };
  const options: TransferOptions = {
    target: target.target,
    payload: published.payload,
    disk,
    sources: [running, disk],
    maps: more.useMaps === false ? [] : [running, disk].flatMap(mapFile),
    mirrors: [mirror],
    journal,
    timing: { sleep: mirror.sleep(stall), stall, rounds: 3 },
    signal: new AbortController().signal,
    ...more.options,
  };
  const use = (steps: Steps): void => {
    for (const each of [running, disk, mirror, journal]) each.steps = steps;
  };
  return { options, running, disk, mirror, journal, use };
}

/** Two images that a device may have, and one that it is to get. */
export function images(random: Random, blocks: number): { running: Buffer; idle: Buffer; next: Buffer } {
  const idle = random.image(Math.max(1, blocks - random.next(20)));
  const running = random.changed(idle, Math.max(1, blocks - random.next(9)));
  return { idle, running, next: random.changed(running, blocks) };
}
