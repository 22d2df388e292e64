// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import type { Extent } from '@mbl/formats';
import { CrashCopy } from './crash-copy.ts';
import { type CrashState, hexadecimal, stateOf } from './crash-state.ts';
import { epochsOf } from './epochs.ts';
import type { Medium } from './log-format.ts';
import { type EpochWrites, MediumView } from './medium-view.ts';
import { differing, leftOutOf, type Selection, type SelectionBounds, selectionsOf } from './selection.ts';
import { digestOfAll, SectorReader, sectorSize, type SectorWrite } from './sector-writes.ts';
import type { LoggedRequest, WriteLog } from './write-log.ts';

export interface CrashStateOptions extends Partial<SelectionBounds> {
  /** Default `disk`. */
  readonly medium?: Medium;
  /** The part of the medium to look at, in bytes, a partition for example; default: all. States are told apart by it alone. */
  readonly extent?: Extent | undefined;
  /** Parts of the medium within `extent`, in whole sectors, of which each state tells what they hold; they may overlap. */
  readonly parts?: readonly Extent[];
  /** Only cuts after so many records of the log, and before so many; default: all. What was written before is as it became durable. */
  readonly since?: number;
  readonly before?: number;
  readonly signal?: AbortSignal | undefined;
}

/** What the bounds left out. */
export interface LeftOut {
  /** Epochs of which not every subset of the pending writes was taken, and the most writes that one of them has. */
  readonly epochs: number;
  readonly mostPending: number;
  /** Writes that were torn in some ways and not in all, over all epochs. */
  readonly tornWrites: number;
}

/** Every distinct state once, in the order of their epochs; the same for the same log and options. */
export class CrashStates implements AsyncDisposable {
  readonly medium: Medium;
  readonly states: readonly CrashState[];
  readonly leftOut: LeftOut;
  /** How many selections of writes these are; many leave the same bytes. */
  readonly selections: number;
  readonly #reader: SectorReader;
  readonly #epochs: readonly EpochWrites[];
  readonly #parts: readonly SectorRange[];

  constructor(
    medium: Medium,
    reader: SectorReader,
    epochs: readonly EpochWrites[],
    parts: readonly SectorRange[],
    found: { states: readonly CrashState[]; selections: number; leftOut: LeftOut },
  ) {
    this.medium = medium;
    this.#reader = reader;
    this.#epochs = epochs;
    this.#parts = parts;
    this.states = found.states;
    this.selections = found.selections;
    this.leftOut = found.leftOut;
  }

  /** Makes `target` hold one state after the other; it has to be a copy of the part as it was when the log began, or is made one. */
  async open(target: string): Promise<CrashCopy> {
    return await CrashCopy.make(this.#reader, this.#epochs, target);
  }

  /** The digest of a part, by its index, that holds `size` bytes of a file from `offset` on, and zeros behind them. */
  async digestOf(part: number, path: string, { offset, size }: Extent): Promise<string> {
    const { first, count } = this.#parts[part] ?? { first: 0, count: 0 };
    await using file = await open(path);
    let digest = 0n;
    for (let sector = 0; sector < count; sector += chunkSectors) {
      const bytes = Buffer.alloc(Math.min(chunkSectors, count - sector) * sectorSize);
      const at = sector * sectorSize;
      const length = Math.min(bytes.length, size - at);
      if (length > 0) await file.read(bytes, 0, length, offset + at);
      digest ^= digestOfAll(first + sector, bytes);
    }
    return hexadecimal(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }
}

/** In sectors of the part of the medium that is looked at. */
interface SectorRange {
  readonly first: number;
  readonly count: number;
}

const chunkSectors = 2048;

const defaults: SelectionBounds = { subsets: 6, samples: 8, tears: 4, seed: 1 };

/**
 * Enumerates what a power cut at any moment of a recorded run may have left. `start`: the medium as it was when the log began.
 * Dispose of the result after its copies.
 */
export async function enumerateCrashStates(
  log: WriteLog,
  start: string,
  options: CrashStateOptions = {},
): Promise<CrashStates> {
  const { medium = 'disk' } = options;
  const reader = await SectorReader.open(log.path, start, options.extent);
  try {
    const epochs = await loadEpochs(log, medium, reader, options.signal);
    const base = options.extent?.offset ?? 0;
    const parts = (options.parts ?? []).map(({ offset, size }) => ({
      first: (offset - base) / sectorSize,
      count: size / sectorSize,
    }));
    const starts: bigint[] = [];
    for (const { first, count } of parts) starts.push(await startOf(reader, first, count));
    const found = enumerate(
      epochs,
      reader,
      { ...defaults, since: 0, before: Infinity, ...options },
      parts,
      starts,
    );
    return new CrashStates(medium, reader, epochs, parts, found);
  } catch (error) {
    await reader[Symbol.asyncDispose]();
    throw error;
  }
}

/** The digest of sectors as they were when the log began. */
async function startOf(reader: SectorReader, first: number, count: number): Promise<bigint> {
  let digest = 0n;
  for (let sector = 0; sector < count; sector += chunkSectors) {
    const bytes = await reader.startContent(first + sector, Math.min(chunkSectors, count - sector));
    digest ^= digestOfAll(first + sector, bytes);
  }
  return digest;
}

async function loadEpochs(
  log: WriteLog,
  medium: Medium,
  reader: SectorReader,
  signal?: AbortSignal,
): Promise<EpochWrites[]> {
  const loaded = new Map<number, SectorWrite | undefined>();
  const load = async (requests: readonly LoggedRequest[]): Promise<SectorWrite[]> => {
    const found: SectorWrite[] = [];
    for (const request of requests) {
      signal?.throwIfAborted();
      if (!loaded.has(request.id)) loaded.set(request.id, await reader.load(request));
      const write = loaded.get(request.id);
      if (write !== undefined) found.push(write);
    }
    return found;
  };
  const epochs: EpochWrites[] = [];
  for (const { settled, pending, from, until } of epochsOf(log, medium)) {
    epochs.push({ settled: await load(settled), pending: await load(pending), from, until });
  }
  return epochs;
}

/** Visits all selections of all epochs and keeps the first of those that leave the same bytes. */
function enumerate(
  epochs: readonly EpochWrites[],
  reader: SectorReader,
  bounds: SelectionBounds & { readonly since: number; readonly before: number },
  parts: readonly SectorRange[],
  starts: readonly bigint[],
): { states: CrashState[]; selections: number; leftOut: LeftOut } {
  const found = new Map<bigint, CrashState & { until: number }>();
  const view = new MediumView(epochs);
  const none: Selection = { count: 0, flipped: [] };
  const leftOut = { epochs: 0, mostPending: 0, tornWrites: 0 };
  let selections = 0;
  /** The XOR of all sectors that a write ever changed; and of all of each part. */
  let digest = 0n;
  const digests = [...starts];
  const flip = (sector: number, difference: bigint): void => {
    digest ^= difference;
    for (const [index, { first, count }] of parts.entries())
      if (sector >= first && sector < first + count) digests[index] = (digests[index] ?? 0n) ^ difference;
  };
  const digestOf = (sector: number, selection: Selection): bigint => {
    const version = view.versionOf(sector, selection);
    return version?.write.digests[version.index] ?? reader.startDigest(sector);
  };
  const settled = new Map<number, bigint>();
  for (const [epoch, { pending, from, until }] of epochs.entries()) {
    for (const sector of view.moveTo(epoch)) {
      const now = digestOf(sector, none);
      flip(sector, (settled.get(sector) ?? reader.startDigest(sector)) ^ now);
      settled.set(sector, now);
    }
    if (until < bounds.since || from >= bounds.before) continue;
    let shown = none;
    for (const selection of selectionsOf(pending, bounds)) {
      selections += 1;
      for (const sector of view.sectorsOf(differing(shown, selection))) {
        flip(sector, digestOf(sector, shown) ^ digestOf(sector, selection));
      }
      shown = selection;
      const known = found.get(digest);
      if (known === undefined)
        found.set(digest, stateOf(digest, digests, epoch, selection, pending, { from, until }));
      else known.until = until;
    }
    for (const sector of view.sectorsOf(differing(shown, none))) {
      flip(sector, digestOf(sector, shown) ^ digestOf(sector, none));
    }
    const left = leftOutOf(pending, bounds);
    if (left.subsets) {
      leftOut.epochs += 1;
      leftOut.mostPending = Math.max(leftOut.mostPending, pending.length);
    }
    leftOut.tornWrites += left.tornWrites;
  }
  return { states: [...found.values()], selections, leftOut };
}
