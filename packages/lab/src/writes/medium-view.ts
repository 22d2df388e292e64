// SPDX-License-Identifier: Apache-2.0
import { isKept, type Selection } from './selection.ts';
import type { SectorWrite } from './sector-writes.ts';

/** Where a sector's content comes from; undefined: the medium as it was when the log began. */
export type Version = { readonly write: SectorWrite; readonly index: number } | undefined;

/** An epoch with the sectors of its writes. */
export interface EpochWrites {
  readonly settled: readonly SectorWrite[];
  readonly pending: readonly SectorWrite[];
  readonly from: number;
  readonly until: number;
}

/** What a medium holds after a power cut in an epoch, sector by sector. Epochs are visited forwards. */
export class MediumView {
  readonly #epochs: readonly EpochWrites[];
  #epoch = -1;
  /** The latest settled version of each sector. */
  readonly #settled = new Map<number, NonNullable<Version>>();
  /** The pending versions of each sector, in the order of issue, with their writes' places. */
  #pending = new Map<number, { readonly place: number; readonly version: NonNullable<Version> }[]>();

  constructor(epochs: readonly EpochWrites[]) {
    this.#epochs = epochs;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Goes on to an epoch; gives the sectors whose settled content changed on the way. */
  moveTo(epoch: number): Set<number> {
    const changed = new Set<number>();
    while (this.#epoch < epoch) {
      this.#epoch += 1;
      for (const write of this.#epochs[this.#epoch]?.settled ?? []) {
        for (const [index, sector] of write.sectors.entries()) {
          if (isNewer(write, this.#settled.get(sector))) {
            this.#settled.set(sector, { write, index });
            changed.add(sector);
          }
        }
      }
    }
    this.#pending = new Map();
    for (const [place, write] of (this.#epochs[epoch]?.pending ?? []).entries()) {
      for (const [index, sector] of write.sectors.entries()) {
        const versions = this.#pending.get(sector) ?? [];
        versions.push({ place, version: { write, index } });
        this.#pending.set(sector, versions);
      }
    }
    return changed;
  }

  /** A sector's content: of the writes to it that are on the medium, the one that was issued last. */
  versionOf(sector: number, selection: Selection): Version {
    const settled = this.#settled.get(sector);
    const last = this.#pending
      .get(sector)
      ?.findLast(({ place, version }) => isKept(selection, place, version.index))?.version;
    return last !== undefined && isNewer(last.write, settled) ? last : settled;
  }

  /** The sectors of some of the epoch's pending writes. */
  sectorsOf(places: Iterable<number>): Set<number> {
    const found = new Set<number>();
    for (const place of places) {
      for (const sector of this.#epochs[this.#epoch]?.pending[place]?.sectors ?? []) found.add(sector);
    }
    return found;
  }
}

function isNewer(write: SectorWrite, than: Version): boolean {
  return than === undefined || write.request.id > than.write.request.id;
}
