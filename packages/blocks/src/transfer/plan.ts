// SPDX-License-Identifier: Apache-2.0
import type { CopyRun } from '../copy/copy-map.ts';
import { FANOUT } from '../layout.ts';
import { frameStart, type PayloadIndex } from '../payload/format.ts';

/** What a request costs on the wire beside its bytes: headers of both sides and TLS records, as measured. A smaller gap is fetched along. */
export const requestCost = 768;

/** The most that one request asks for: what a power cut may leave counted and not received. */
export const largestRequest = 2 ** 20;

/** What is known of one source. */
export interface Candidate {
  readonly blocks: number;
  /** It is the slot that is written: what lies before the group that is made is gone. */
  readonly overwritten: boolean;
  /** A copy map says so, and not what was read there: where it is wrong, either of them lies. */
  readonly mapped: boolean;
  readonly runs: readonly CopyRun[];
}

/** Bytes of a payload, `end` not included. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where each block comes from. Blocks of groups that are done are no part of it. */
export interface Plan {
  /** By block: the candidate that has it, counted from 1; 0: none. */
  readonly from: Uint8Array;
  /** By block: its block in that candidate. */
  readonly at: Uint32Array;
  /** By frame: 1 when it is fetched, and all its blocks with it. */
  readonly fetched: Uint8Array;
  /** In the order of the payload, each one request: no two are so near that it costs less to fetch what is between. */
  readonly ranges: readonly Range[];
  /** Bytes on the wire, those of the requests included. */
  readonly cost: number;
}

/**
 * Plans a transfer; at most 254 candidates, the first that has a block gives it. `done`: by group, 1 where the slot has it already. Nothing here is
 * trusted or checked against content: a wrong copy is found when its group is made.
 */
export function planTransfer(index: PayloadIndex, candidates: readonly Candidate[], done: Uint8Array): Plan {
  const { dataBlocks, frameBlocks } = index;
  const from = new Uint8Array(dataBlocks);
  const at = new Uint32Array(dataBlocks);
  for (const [number, { blocks, overwritten, runs }] of candidates.slice(0, 254).entries()) {
    for (const run of runs) {
      const end = Math.min(run.target + run.blocks, dataBlocks);
      for (let block = run.target; block < end; block += 1) {
        const place = run.source + block - run.target;
        const lowest = overwritten ? block - (block % FANOUT) : 0;
        if (from[block] !== 0 || place >= blocks || place < lowest) continue;
        from[block] = number + 1;
        at[block] = place;
      }
    }
  }
  const fetched = new Uint8Array(index.frameEnds.length);
  const ranges: { start: number; end: number }[] = [];
  for (let frame = 0; frame < fetched.length; frame += 1) {
    const first = frame * frameBlocks;
    if (done[Math.floor(first / FANOUT)] === 1) continue;
    if (from.subarray(first, first + frameBlocks).every((source) => source !== 0)) continue;
    fetched[frame] = 1;
    const start = frameStart(index, frame);
    const end = index.frameEnds[frame] ?? start;
    const last = ranges.at(-1);
    if (last !== undefined && start - last.end <= requestCost && end - last.start <= largestRequest)
      last.end = end;
    else ranges.push({ start, end });
  }
  const cost = ranges.reduce((sum, { start, end }) => sum + end - start + requestCost, 0);
  return { from, at, fetched, ranges, cost };
}
