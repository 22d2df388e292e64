// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Extent } from '@mbl/formats';
import { invalidLog } from './log-format.ts';
import type { LoggedRequest } from './write-log.ts';

/** What a medium writes whole or not at all. */
export const sectorSize = 512;
const zeros = Buffer.alloc(sectorSize);

/** A write as the sectors that it changes, within the part of the medium that is looked at. */
export interface SectorWrite {
  readonly request: LoggedRequest;
  /** Counted from the part's start. */
  readonly sectors: readonly number[];
  /** Of each sector's number and its new content; 64 bits. */
  readonly digests: readonly bigint[];
}

/**
 * Reads the writes of a recorded run, sector by sector, and the bytes that were there when it began. A range that was cleared counts only where
 * something was: a file system that gives up a gibibyte of nothing changes no sector.
 */
export class SectorReader implements AsyncDisposable {
  readonly #log: FileHandle;
  readonly #start: FileHandle;
  readonly #extent: Extent;
  /** Sectors that were written or are not zeros at the start. */
  readonly #used = new Set<number>();
  /** Chunks of the start that were looked at. */
  readonly #scanned = new Set<number>();
  readonly #startDigests = new Map<number, bigint>();

  private constructor(log: FileHandle, start: FileHandle, extent: Extent) {
    this.#log = log;
    this.#start = start;
    this.#extent = extent;
  }

  /** `start`: the medium as it was when the log began; `extent`: the part of it to look at, in bytes. */
  static async open(logPath: string, start: string, extent?: Extent): Promise<SectorReader> {
    const log = await open(logPath);
    try {
      const medium = await open(start);
      const { size } = await medium.stat();
      return new SectorReader(log, medium, extent ?? { offset: 0, size });
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log.close();
    await this.#start.close();
  }

  /** How many sectors the part has. */
  get count(): number {
    return Math.floor(this.#extent.size / sectorSize);
  }

  /** A write's sectors within the part; undefined when it changes none there. Ask in the order of issue. */
  async load(request: LoggedRequest): Promise<SectorWrite | undefined> {
    const { offset, size } = this.#extent;
    const first = Math.max(request.offset, offset);
    const end = Math.min(request.offset + request.length, offset + size);
    if (first >= end) return undefined;
    const sectors: number[] = [];
    const digests: bigint[] = [];
    const from = Math.floor((first - offset) / sectorSize);
    const to = Math.ceil((end - offset) / sectorSize);
    if (request.operation === 'write') {
      const data = await this.#logged(request, first, end - first);
      for (let sector = from; sector < to; sector++) {
        const at = (sector - from) * sectorSize;
        sectors.push(sector);
        digests.push(digestOf(sector, data.subarray(at, at + sectorSize)));
        this.#used.add(sector);
      }
    } else {
      await this.#scan(from, to);
      for (const sector of this.#usedBetween(from, to)) {
        sectors.push(sector);
        digests.push(digestOf(sector, zeros));
      }
    }
    if (sectors.length === 0) return undefined;
    await this.#digestStart(sectors);
    return { request, sectors, digests };
  }

  /** The digest of a sector as it was when the log began; a write that was loaded has to change it. */
  startDigest(sector: number): bigint {
    return this.#startDigests.get(sector) ?? 0n;
  }

  /** `count` sectors that a write changes, from its `index`-th on; they have to be neighbours. */
  async content({ request, sectors }: SectorWrite, index: number, count: number): Promise<Buffer> {
    const length = count * sectorSize;
    if (request.operation !== 'write') return Buffer.alloc(length);
    return await this.#logged(request, this.#extent.offset + (sectors[index] ?? 0) * sectorSize, length);
  }

  /** `count` sectors of the medium as it was when the log began. */
  async startContent(sector: number, count: number): Promise<Buffer> {
    const bytes = Buffer.alloc(count * sectorSize);
    await this.#start.read(bytes, 0, bytes.length, this.#extent.offset + sector * sectorSize);
    return bytes;
  }

  async #digestStart(sectors: readonly number[]): Promise<void> {
    for (const [first, count] of runsOf(sectors.filter((sector) => !this.#startDigests.has(sector)))) {
      const bytes = await this.startContent(first, count);
      for (let index = 0; index < count; index++) {
        const content = bytes.subarray(index * sectorSize, (index + 1) * sectorSize);
        this.#startDigests.set(first + index, digestOf(first + index, content));
      }
    }
  }

  async #logged(request: LoggedRequest, offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await this.#log.read(
      bytes,
      0,
      length,
      request.dataOffset + offset - request.offset,
    );
    if (bytesRead < length) throw invalidLog('ends within the data of a write');
    return bytes;
  }

  /** Learns which sectors of the start are not zeros. */
  async #scan(from: number, to: number): Promise<void> {
    const chunk = 2048;
    for (let number = Math.floor(from / chunk); number * chunk < to; number++) {
      if (this.#scanned.has(number)) continue;
      this.#scanned.add(number);
      const sectors = Math.min(chunk, this.count - number * chunk);
      const bytes = await this.startContent(number * chunk, sectors);
      if (bytes[0] === 0 && bytes.equals(Buffer.alloc(bytes.length))) continue;
      for (let index = 0; index < sectors; index++) {
        if (!bytes.subarray(index * sectorSize, (index + 1) * sectorSize).equals(zeros)) {
          this.#used.add(number * chunk + index);
        }
      }
    }
  }

  #usedBetween(from: number, to: number): number[] {
    const found: number[] = [];
    if (to - from < this.#used.size) {
      for (let sector = from; sector < to; sector++) if (this.#used.has(sector)) found.push(sector);
      return found;
    }
    for (const sector of this.#used) if (sector >= from && sector < to) found.push(sector);
    return found.toSorted((a, b) => a - b);
  }
}

/** Neighbours among ascending numbers: the first of them and how many. */
export function runsOf(numbers: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === number) last[1] += 1;
    else runs.push([number, 1]);
  }
  return runs;
}

/** The XOR of the digests of all sectors of `bytes`, whose first one is `sector`. */
export function digestOfAll(sector: number, bytes: Buffer): bigint {
  let digest = 0n;
  for (let at = 0; at < bytes.length; at += sectorSize)
    digest ^= digestOf(sector + at / sectorSize, bytes.subarray(at, at + sectorSize));
  return digest;
}

/** 64 bits of a sector's number and content: two media whose XOR over all sectors is the same are the same. */
function digestOf(sector: number, content: Uint8Array): bigint {
  const hash = createHash('sha1');
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(sector));
  return hash.update(number).update(content).digest().readBigUInt64LE();
}
