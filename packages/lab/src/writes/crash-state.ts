// SPDX-License-Identifier: Apache-2.0
import type { Selection } from './selection.ts';
import type { SectorWrite } from './sector-writes.ts';

/** What a medium, or a part of it, may hold after a power cut. */
export interface CrashState {
  /** Of the content: 16 hexadecimal digits. No two states of an enumeration have the same. */
  readonly digest: string;
  /** The first epoch in which it may occur, and which writes are there. */
  readonly epoch: number;
  readonly selection: Selection;
  /** The earliest cut that may leave it: after so many records of the log, at least. */
  readonly from: number;
  /** The latest cut that is known to leave it. What was acknowledged before that has to be there. */
  readonly until: number;
  /** Of each part that was asked for, a digest of what it holds: `CrashStates.digestOf` gives the same for the same content. */
  readonly parts: readonly string[];
  /** One line for people. */
  describe(): string;
}

export function hexadecimal(digest: bigint): string {
  return digest.toString(16).padStart(16, '0');
}

/** Describes the state that a selection of an epoch's pending writes leaves; `from` and `until`: the epoch's. */
export function stateOf(
  digest: bigint,
  parts: readonly bigint[],
  epoch: number,
  selection: Selection,
  pending: readonly SectorWrite[],
  { from, until }: { readonly from: number; readonly until: number },
): CrashState & { until: number } {
  const name = (write: number): string => {
    const { operation = '', offset = 0, length = 0 } = pending[write]?.request ?? {};
    return `${operation} of ${length} bytes at ${offset}`;
  };
  return {
    digest: hexadecimal(digest),
    parts: parts.map(hexadecimal),
    epoch,
    selection,
    from: selectionIssued(selection, pending, from),
    until,
    describe() {
      const { count, flipped, torn } = selection;
      const lost = flipped.filter((write) => write < count);
      const there = flipped.filter((write) => write >= count);
      return [
        `cut after ${this.from} to ${this.until} records`,
        `epoch ${epoch}: the first ${count} of ${pending.length} pending writes`,
        ...(lost.length > 0 ? [`without ${lost.map(name).join(', ')}`] : []),
        ...(there.length > 0 ? [`with ${there.map(name).join(', ')}`] : []),
        ...(torn === undefined ? [] : [`of the ${name(torn.write)} only ${torn.text}`]),
      ].join('; ');
    },
  };
}

/** After how many records all writes of a selection were issued. */
function selectionIssued(
  { count, flipped, torn }: Selection,
  pending: readonly SectorWrite[],
  from: number,
): number {
  let last = from;
  const writes = new Set(flipped);
  if (torn !== undefined) writes.add(torn.write);
  for (const [write, { request }] of pending.entries()) {
    if (write < count !== flipped.includes(write) || torn?.write === write)
      last = Math.max(last, request.issued + 1);
  }
  return last;
}
