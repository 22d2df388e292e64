// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import { maxCopyMapSize, parseCopyMap } from '../copy/copy-map.ts';
import { DigestTable, matchBlocks } from '../copy/match.ts';
import type { BlockDisk, BlockSource, JournalStore, Mirror } from '../devices.ts';
import { GroupHasher } from '../groups.ts';
import { FANOUT } from '../layout.ts';
import { checkPayload, type PayloadFile, type PayloadIndex, parseIndex } from '../payload/format.ts';
import type { VerityDescription } from '../verifier.ts';
import { Assembler } from './assembler.ts';
import { Blame, type Wrong } from './blame.ts';
import { fetchDigests, fromHonest } from './digests.ts';
import { Fetcher, type Timing } from './fetcher.ts';
import { Meter } from './meter.ts';
import { type Candidate, type Plan, planTransfer } from './plan.ts';
import { readStream, streamCost, type StreamFile } from './stream.ts';
import { findDone, onDisk, seal, slotBlocks } from './slot.ts';

/** A copy map on the mirrors, for one of the sources. */
export interface MapFile {
  readonly source: BlockSource;
  readonly file: string;
  /** Bytes. */
  readonly size: number;
}

export interface Progress {
  /** Groups of blocks that are on the disk, of how many. */
  readonly done: number;
  readonly groups: number;
  /** Bytes on the wire, those of earlier runs included. */
  readonly spent: number;
  /** Bytes on the wire that are still to come by the plan. */
  readonly remaining: number;
}

export interface TransferOptions {
  /** The image as the signed metadata describes it, and its payload. */
  readonly target: VerityDescription;
  readonly payload: PayloadFile;
  /** The image as one stream, which is read where frames would cost more: by a device that has little of it. */
  readonly stream?: StreamFile;
  /** Where the image and behind it its hash tree are written. */
  readonly disk: BlockDisk;
  /** False: the data alone, for a file that is to end where the data does. */
  readonly tree?: boolean;
  /** What blocks may be copied from; `disk` itself may be among them. */
  readonly sources: readonly BlockSource[];
  /** What is said of the sources. Without any the digests of all blocks are fetched and the sources are read. */
  readonly maps: readonly MapFile[];
  /** Asked in this order. */
  readonly mirrors: readonly Mirror[];
  readonly journal: JournalStore;
  /** Bytes for this target, over all runs: of bodies, and 768 for each request. TLS adds 0.2 % to that. */
  readonly budget?: number;
  readonly timing?: Partial<Timing>;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

export interface TransferReport {
  /** Bytes on the wire, those of earlier runs included. */
  readonly spent: number;
  /** Of this run. */
  readonly requests: number;
  /** Blocks that were copied, by source. */
  readonly copied: Readonly<Record<string, number>>;
  /** Groups of blocks that the disk had when this run began. */
  readonly kept: number;
  readonly wrong: readonly Wrong[];
  /** Copy maps that were of no use: their errors. */
  readonly badMaps: readonly MblError[];
}

const defaults: Timing = {
  sleep: async (milliseconds, signal) => await delay(milliseconds, undefined, { signal, ref: false }),
  stall: 60_000,
  rounds: 6,
};

/**
 * Brings an image onto a disk: what the disk has stays, what another source has is copied, the rest is fetched. Nothing that mirrors, maps and
 * sources say is believed: each group of 128 blocks is checked before it is written, and at the end all is read back against the root
 * hash. May be broken off at any moment; the next run goes on from what is on the disk. Memory: a few megabytes, and 13 bytes a block;
 * without a copy map 40 more.
 *
 * Throws `blocks/bad-description`, `blocks/too-small`, `blocks/over-budget` (`details.needed`), `blocks/no-mirror`, `blocks/wrong-mirrors`,
 * `blocks/disk-failed`, `blocks/disk-wrong`, and the signal's reason.
 */
export async function transfer(options: TransferOptions): Promise<TransferReport> {
  const { target, payload, disk, tree = true, sources, mirrors, signal } = options;
  const hasher = new GroupHasher(target);
  checkPayload(payload, target);
  const needed = tree ? slotBlocks(target.dataBlocks) : target.dataBlocks;
  if (disk.blocks < needed)
    throw new MblError(
      'blocks/too-small',
      `${disk.name} has ${disk.blocks} blocks, and the image needs ${needed}.`,
      {
        remedy: 'Name a release that was made for this machine.',
      },
    );
  const meter = await Meter.open(options.journal, target.rootHash, options.budget ?? Infinity);
  const fetcher = new Fetcher(mirrors, meter, { ...defaults, ...options.timing }, signal);
  const blame = new Blame();
  const badMaps: MblError[] = [];
  try {
    const index = await fetchIndex(payload, hasher, fetcher, blame);
    const done = await findDone(index, hasher, disk, signal);
    const kept = done.filter((each) => each === 1).length;
    const copies =
      kept === hasher.groups ? [] : await findCopies(options, index, hasher, fetcher, blame, badMaps);
    let count = kept;
    const tell = (): void =>
      options.onProgress?.({
        done: count,
        groups: hasher.groups,
        spent: meter.spent,
        remaining: meter.remaining,
      });
    const write = async (group: number, data: Uint8Array): Promise<void> => {
      await onDisk(disk, disk.write(group * FANOUT, data, signal), signal);
      count += 1;
      tell();
    };
    let plan: Plan = planTransfer(index, copies, done);
    const { stream } = options;
    if (stream !== undefined && isStream(stream) && streamCost(stream) < plan.cost) {
      meter.expect(streamCost(stream));
      tell();
      await readStream(stream, { fetcher, index, hasher, blame }, done, write);
      // What it did not give. Of the slot's old blocks none are left to copy from before these groups.
      plan = planTransfer(index, copies, done);
    }
    meter.expect(plan.cost);
    const { file } = payload;
    const names = sources.map(({ name }, at) =>
      copies[at]?.mapped === true ? `${name}, or its copy map,` : name,
    );
    const parts = { file, index, hasher, plan, sources, names, disk, fetcher, blame };
    await using assembler = new Assembler(parts);
    tell();
    for (let group = 0; group < hasher.groups; group += 1) {
      if (done[group] === 1) continue;
      await write(group, await assembler.assemble(group));
    }
    await seal(index, hasher, disk, tree, signal);
    const copied = Object.fromEntries(
      sources.map(({ name }, number) => [name, assembler.copied[number] ?? 0]),
    );
    return { spent: meter.spent, requests: meter.requests, copied, kept, wrong: blame.all, badMaps };
  } finally {
    await meter.settle();
  }
}

/** Of a size that a stream can have: no more than twice the largest image. */
function isStream({ size }: StreamFile): boolean {
  return Number.isSafeInteger(size) && size > 0 && size < 2 ** 33;
}

async function fetchIndex(
  payload: PayloadFile,
  hasher: GroupHasher,
  fetcher: Fetcher,
  blame: Blame,
): Promise<PayloadIndex> {
  const range = { start: payload.size - payload.indexSize, end: payload.size };
  return await fromHonest(fetcher, async (mirror, number) => {
    const bytes = await fetcher.whole(payload.file, range, number);
    try {
      return parseIndex(bytes, payload, hasher);
    } catch (error) {
      if (!(error instanceof MblError)) throw error;
      blame.add(mirror, 0);
      return undefined;
    }
  });
}

/** What each source has, in the order of the sources: by the copy maps, or, where there is none of use, by reading the sources. */
async function findCopies(
  options: TransferOptions,
  index: PayloadIndex,
  hasher: GroupHasher,
  fetcher: Fetcher,
  blame: Blame,
  badMaps: MblError[],
): Promise<Candidate[]> {
  const { target, payload, disk, sources, maps, signal } = options;
  const candidates = sources.map((source) => ({
    blocks: source.blocks,
    overwritten: source === disk,
    mapped: false,
    runs: [] as Candidate['runs'],
  }));
  let useful = 0;
  for (const { source, file, size } of maps) {
    const candidate = candidates[sources.indexOf(source)];
    if (candidate === undefined || !Number.isSafeInteger(size) || size < 1 || size > maxCopyMapSize) continue;
    try {
      candidate.runs = parseCopyMap(
        await fetcher.whole(file, { start: 0, end: size }),
        target.rootHash,
        target.dataBlocks,
      ).runs;
      candidate.mapped = true;
      useful += 1;
    } catch (error) {
      if (!(error instanceof MblError) || !['blocks/bad-copy-map', 'blocks/no-mirror'].includes(error.code))
        throw error;
      badMaps.push(error);
    }
  }
  if (useful > 0 || sources.length === 0) return candidates;
  const from = { file: payload.file, fetcher, blame };
  const table = new DigestTable(await fetchDigests(from, index, hasher, [0, hasher.groups]));
  for (const [number, source] of sources.entries()) {
    const candidate = candidates[number];
    if (candidate === undefined) continue;
    try {
      candidate.runs = await matchBlocks(table, source, hasher, signal);
    } catch {
      // A source that cannot be read is none.
      signal.throwIfAborted();
    }
  }
  return candidates;
}
