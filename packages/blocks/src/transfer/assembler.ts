// SPDX-License-Identifier: Apache-2.0
import type { BlockDisk, BlockSource } from '../devices.ts';
import type { GroupHasher } from '../groups.ts';
import { BLOCK_SIZE, DIGEST_SIZE, FANOUT } from '../layout.ts';
import { frameSize, frameStart, openFrame, type PayloadIndex } from '../payload/format.ts';
import type { Blame } from './blame.ts';
import { fetchDigests, fromHonest, isGroup } from './digests.ts';
import { type Fetcher, RangeStream } from './fetcher.ts';
import type { Plan } from './plan.ts';

export interface Parts {
  readonly file: string;
  readonly index: PayloadIndex;
  readonly hasher: GroupHasher;
  readonly plan: Plan;
  /** In the order of the plan's candidates. */
  readonly sources: readonly BlockSource[];
  /** As those are to be named that gave wrong blocks. */
  readonly names: readonly string[];
  readonly disk: BlockDisk;
  readonly fetcher: Fetcher;
  readonly blame: Blame;
}

/**
 * Makes one group of blocks after the other and checks each against its digest. Where one is wrong, the digests of its blocks are fetched, the
 * wrong blocks are taken from elsewhere, and who gave them is named.
 */
export class Assembler implements AsyncDisposable {
  readonly #parts: Parts;
  readonly #stream: RangeStream;
  /** Blocks before the group, for the dictionaries of its first frames, and the group. */
  readonly #window: Buffer;
  readonly #tail: number;
  #group = -2;
  /** Frames of the group as they came, by their numbers. */
  readonly #held = new Map<number, { readonly bytes: Uint8Array; readonly mirror: number }>();
  /** Blocks that were copied, by the number of their source. */
  readonly copied: number[];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#stream = new RangeStream(parts.fetcher, parts.file, parts.plan.ranges);
    this.#tail = parts.index.dictionaryBlocks * BLOCK_SIZE;
    this.#window = Buffer.alloc(this.#tail + FANOUT * BLOCK_SIZE);
    this.copied = parts.sources.map(() => 0);
  }

  /** The blocks of a group, which are right; valid until the next call. All groups before it are on the disk. Throws what fetching throws. */
  async assemble(group: number): Promise<Uint8Array> {
    const { index, hasher } = this.#parts;
    await this.#enter(group);
    const data = this.#window.subarray(this.#tail, this.#tail + hasher.sizeOf(group) * BLOCK_SIZE);
    const whole = await this.#assembleQuickly(group);
    if (!whole || !isGroup(index, hasher, group, hasher.hashBlock(data)))
      await this.#assembleCarefully(group);
    this.#held.clear();
    return data;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.close();
  }

  /** Puts the blocks before the group in their place. */
  async #enter(group: number): Promise<void> {
    const { disk, fetcher, hasher } = this.#parts;
    const blocks = Math.min(this.#tail / BLOCK_SIZE, group * FANOUT);
    const tail = this.#window.subarray(this.#tail - blocks * BLOCK_SIZE, this.#tail);
    if (this.#group === group - 1) {
      const end = this.#tail + hasher.sizeOf(this.#group) * BLOCK_SIZE;
      this.#window.copyWithin(this.#tail - tail.length, end - tail.length, end);
    } else if (blocks > 0) await disk.read(group * FANOUT - blocks, tail, fetcher.signal);
    this.#group = group;
  }

  /** Copies and fetches by the plan, unseen. False when something could not be read or unpacked. */
  async #assembleQuickly(group: number): Promise<boolean> {
    const { index, plan, fetcher, hasher } = this.#parts;
    const first = group * FANOUT;
    const end = first + hasher.sizeOf(group);
    for (let block = first; block < end; ) {
      const frame = Math.floor(block / index.frameBlocks);
      if (plan.fetched[frame] === 1) {
        const bytes = await this.#stream.read(frameStart(index, frame), index.frameEnds[frame] ?? 0);
        this.#held.set(frame, { bytes, mirror: fetcher.current });
        if (!this.#place(frame, bytes)) return false;
        block += index.frameBlocks;
        continue;
      }
      let next = block + 1;
      while (next < end && this.#follows(next)) next += 1;
      if (!(await this.#copy(block, next - block))) return false;
      block = next;
    }
    return true;
  }

  /** Whether a block is copied from right behind the one before it. */
  #follows(block: number): boolean {
    const { index, plan } = this.#parts;
    return (
      plan.fetched[Math.floor(block / index.frameBlocks)] !== 1 &&
      plan.from[block] === plan.from[block - 1] &&
      plan.at[block] === (plan.at[block - 1] ?? 0) + 1
    );
  }

  /** Each block is checked before the next one is made: a frame needs those before it. */
  async #assembleCarefully(group: number): Promise<void> {
    const { index, plan, hasher, names, blame } = this.#parts;
    const digests = await fetchDigests(this.#parts, index, hasher, [group, 1]);
    const first = group * FANOUT;
    const isRight = (block: number): boolean => {
      const at = (block - first) * DIGEST_SIZE;
      return hasher.hash(this.#slice(block, 1)).equals(digests.subarray(at, at + DIGEST_SIZE));
    };
    for (let block = first; block < first + hasher.sizeOf(group); block += index.frameBlocks) {
      const frame = Math.floor(block / index.frameBlocks);
      const blocks = frameSize(index, index.dataBlocks, frame) / BLOCK_SIZE;
      const all = Array.from({ length: blocks }, (_, each) => block + each);
      let right = plan.fetched[frame] !== 1;
      for (const each of right ? all : []) {
        if ((await this.#copy(each, 1)) && isRight(each)) continue;
        blame.add(names[(plan.from[each] ?? 0) - 1] ?? '', each);
        right = false;
      }
      if (!right) await this.#fetchCarefully(frame, () => all.every(isRight));
    }
  }

  async #fetchCarefully(frame: number, isRight: () => boolean): Promise<void> {
    const { file, index, fetcher, blame } = this.#parts;
    const range = { start: frameStart(index, frame), end: index.frameEnds[frame] ?? 0 };
    const held = this.#held.get(frame);
    if (held !== undefined && this.#place(frame, held.bytes) && isRight()) return;
    const block = frame * index.frameBlocks;
    if (held !== undefined) blame.add(fetcher.mirrors[held.mirror]?.name ?? '', block);
    await fromHonest(fetcher, async (mirror, number) => {
      // With one mirror, another try: a proxy on the way may have been wrong once.
      if (number === held?.mirror && fetcher.mirrors.length > 1) return undefined;
      if (this.#place(frame, await fetcher.whole(file, range, number)) && isRight()) return true;
      blame.add(mirror, block);
      return undefined;
    });
  }

  /** Unpacks a frame to its place. */
  #place(frame: number, bytes: Uint8Array): boolean {
    const { index } = this.#parts;
    const first = frame * index.frameBlocks;
    const size = frameSize(index, index.dataBlocks, frame);
    const before = Math.min(index.dictionaryBlocks, first);
    const blocks = openFrame(bytes, size, this.#slice(first - before, before));
    if (blocks !== undefined) this.#slice(first, size / BLOCK_SIZE).set(blocks);
    return blocks !== undefined;
  }

  /** Copies blocks that lie one behind the other in one source; false when it cannot be read. */
  async #copy(block: number, blocks: number): Promise<boolean> {
    const { plan, sources, fetcher } = this.#parts;
    const number = (plan.from[block] ?? 0) - 1;
    try {
      await sources[number]?.read(plan.at[block] ?? 0, this.#slice(block, blocks), fetcher.signal);
      this.copied[number] = (this.copied[number] ?? 0) + blocks;
      return sources[number] !== undefined;
    } catch {
      // A medium with a bad sector is a source like one that lies: the block is taken from elsewhere.
      fetcher.signal.throwIfAborted();
      return false;
    }
  }

  #slice(block: number, blocks: number): Buffer {
    const at = this.#tail + (block - this.#group * FANOUT) * BLOCK_SIZE;
    return this.#window.subarray(at, at + blocks * BLOCK_SIZE);
  }
}
