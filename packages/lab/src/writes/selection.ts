// SPDX-License-Identifier: Apache-2.0
import type { SectorWrite } from './sector-writes.ts';

/**
 * Which of an epoch's pending writes reached the medium: the first `count`, except that those in `flipped` are the other way round; of
 * the torn one, only some sectors.
 */
export interface Selection {
  readonly count: number;
  readonly flipped: readonly number[];
  readonly torn?: Tear | undefined;
}

export interface Tear {
  /** Its place among the pending. */
  readonly write: number;
  /** Whether a sector of it, by its place in the write, is on the medium. */
  readonly kept: (index: number) => boolean;
  /** How it was torn, for people. */
  readonly text: string;
}

/** How far the selections of an epoch go. What is beyond is counted, not forgotten. */
export interface SelectionBounds {
  /** All subsets of the pending writes are taken when there are at most so many; default 6. */
  readonly subsets: number;
  /** So many subsets drawn by the seed where there are more; default 8. */
  readonly samples: number;
  /** Ways in which a write of several sectors is torn; default 4. */
  readonly tears: number;
  /** Another one draws other samples; default 1. */
  readonly seed: number;
}

/** True when a sector of a pending write, by the write's place and its own in it, is on the medium. */
export function isKept({ count, flipped, torn }: Selection, write: number, index: number): boolean {
  return torn?.write === write ? torn.kept(index) : write < count !== flipped.includes(write);
}

/** The writes in which two selections of the same epoch may differ. */
export function differing(one: Selection, other: Selection): Set<number> {
  const found = new Set([...one.flipped, ...other.flipped]);
  for (const { torn } of [one, other]) if (torn !== undefined) found.add(torn.write);
  const end = Math.max(one.count, other.count);
  for (let write = Math.min(one.count, other.count); write < end; write++) found.add(write);
  return found;
}

/**
 * None, every prefix, every single write alone or missing; of few writes all subsets, of many a sample; each write of several sectors torn
 * where those before it are there and those behind it are not, or where all others are there.
 */
export function* selectionsOf(
  pending: readonly SectorWrite[],
  { subsets, samples, tears, seed }: SelectionBounds,
): Generator<Selection> {
  const all = pending.length;
  for (let count = 0; count <= all; count++) yield { count, flipped: [] };
  if (all <= subsets) {
    for (let bits = 1; bits < 2 ** all; bits++) {
      yield { count: 0, flipped: pending.flatMap((_, write) => ((bits >> write) & 1 ? [write] : [])) };
    }
  } else {
    for (let write = 0; write < all; write++) yield { count: all, flipped: [write] };
    for (let write = 0; write < all; write++) yield { count: 0, flipped: [write] };
    const first = pending[0]?.request.id ?? 0;
    for (let sample = 0; sample < samples; sample++) {
      yield {
        count: 0,
        flipped: pending.flatMap((_, write) => (draw(seed, first, sample, write) & 1 ? [write] : [])),
      };
    }
  }
  for (const [write, { request, sectors }] of pending.entries()) {
    for (const [number, tear] of tearsOf(sectors.length, tears, seed, request.id).entries()) {
      const torn = { write, ...tear };
      yield number % 2 === 0 ? { count: write, flipped: [], torn } : { count: all, flipped: [], torn };
    }
  }
}

/** How many ways to tear a write and how many subsets of an epoch's writes `selectionsOf` does not take. */
export function leftOutOf(
  pending: readonly SectorWrite[],
  { subsets, samples, tears }: SelectionBounds,
): { readonly subsets: boolean; readonly tornWrites: number } {
  const more = (sectors: number): boolean => sectors > 1 && 2 ** Math.min(sectors, 30) - 2 > tears;
  return {
    subsets: pending.length > subsets && 2 ** Math.min(pending.length, 30) > 3 * pending.length + samples,
    tornWrites: pending.filter(({ sectors }) => more(sectors.length)).length,
  };
}

/** Ways to tear a write of so many sectors: its head, its tail, any of them; no two alike. */
function tearsOf(sectors: number, most: number, seed: number, id: number): Omit<Tear, 'write'>[] {
  const found: Omit<Tear, 'write'>[] = [];
  if (sectors < 2) return found;
  for (let number = 0; number < Math.min(most, 2 ** Math.min(sectors, 30) - 2); number++) {
    const bound = 1 + (draw(seed, id, number, 0) % (sectors - 1));
    if (number === 0) found.push({ kept: (index) => index < 1, text: 'its first sector' });
    else if (number % 4 === 0)
      found.push({ kept: (index) => index < bound, text: `its first ${bound} sectors` });
    else if (number % 4 === 1) {
      found.push({ kept: (index) => index >= bound, text: `its last ${sectors - bound} sectors` });
    } else {
      const kept = (index: number): boolean => (draw(seed, id, number, index + 1) & 1) === 1;
      found.push({ kept, text: `sectors drawn by ${seed}/${number}` });
    }
  }
  return found;
}

/** A number below 2^32 that follows from four others. The finaliser of MurmurHash3 (fmix32) after each. */
function draw(...numbers: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}
