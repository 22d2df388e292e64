// SPDX-License-Identifier: Apache-2.0
import type { BlockDisk, BlockSource, JournalStore } from '../devices.ts';
import { BLOCK_SIZE } from '../layout.ts';
import type { Random } from './random.ts';

/** The moment at which the power goes. */
export class PowerCut extends Error {}

/** Counts everything that is done to the outside, and cuts the power at one of these. */
export class Steps {
  #left: number;
  count = 0;

  /** `cutAt`: steps that are still done. */
  constructor(cutAt = Infinity) {
    this.#left = cutAt;
  }

  take(): void {
    this.count += 1;
    this.#left -= 1;
    if (this.#left < 0) throw new PowerCut('the power is off');
  }
}

export class MemorySource implements BlockSource {
  readonly name: string;
  readonly bytes: Buffer;
  steps = new Steps();
  reads = 0;

  constructor(name: string, bytes: Buffer) {
    this.name = name;
    this.bytes = Buffer.from(bytes);
  }

  get blocks(): number {
    return this.bytes.length / BLOCK_SIZE;
  }

  async read(first: number, into: Uint8Array): Promise<void> {
    this.steps.take();
    this.reads += 1;
    if (first * BLOCK_SIZE + into.length > this.bytes.length) throw new Error('read behind the end');
    into.set(this.bytes.subarray(first * BLOCK_SIZE, first * BLOCK_SIZE + into.length));
  }
}

/** A disk that loses, tears and reorders at a power cut what was not flushed. */
export class MemoryDisk extends MemorySource implements BlockDisk {
  #unflushed: { readonly at: number; readonly before: Buffer }[] = [];
  writes = 0;
  /** Called before each write; may throw or change the bytes. */
  onWrite: (at: number, bytes: Buffer) => void = () => {};

  async write(first: number, blocks: Uint8Array): Promise<void> {
    this.steps.take();
    this.writes += 1;
    const at = first * BLOCK_SIZE;
    const bytes = Buffer.from(blocks);
    if (at + bytes.length > this.bytes.length || bytes.length % BLOCK_SIZE !== 0)
      throw new Error('write behind the end');
    this.onWrite(at, bytes);
    this.#unflushed.push({ at, before: Buffer.from(this.bytes.subarray(at, at + bytes.length)) });
    this.bytes.set(bytes, at);
  }

  async flush(): Promise<void> {
    this.steps.take();
    this.#unflushed = [];
  }

  /** Each sector of 512 bytes that was written since the last flush is there, or is as it was. */
  crash(random: Random): void {
    for (const { at, before } of this.#unflushed.toReversed()) {
      const share = random.next(3);
      for (let sector = 0; sector < before.length; sector += 512)
        if (random.next(2) < share) this.bytes.set(before.subarray(sector, sector + 512), at + sector);
    }
    this.#unflushed = [];
  }
}

export class MemoryJournal implements JournalStore {
  bytes: Uint8Array | undefined;
  steps = new Steps();

  async read(): Promise<Uint8Array | undefined> {
    this.steps.take();
    return this.bytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.steps.take();
    this.bytes = bytes;
  }
}
