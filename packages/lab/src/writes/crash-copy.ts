// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';
import type { CrashState } from './crash-state.ts';
import { type EpochWrites, MediumView, type Version } from './medium-view.ts';
import { differing, type Selection } from './selection.ts';
import { type SectorReader, sectorSize } from './sector-writes.ts';

/** A file that holds one crash state after the other. Only sectors in which two states differ are written. */
export class CrashCopy implements AsyncDisposable {
  readonly path: string;
  readonly #reader: SectorReader;
  readonly #epochs: readonly EpochWrites[];
  readonly #file: FileHandle;
  #view: MediumView;
  #shown: Selection = { count: 0, flipped: [] };
  /** Sectors that differ from the start, and what they hold. */
  readonly #present = new Map<number, NonNullable<Version>>();

  private constructor(reader: SectorReader, epochs: readonly EpochWrites[], path: string, file: FileHandle) {
    this.#reader = reader;
    this.#epochs = epochs;
    this.#view = new MediumView(epochs);
    this.path = path;
    this.#file = file;
  }

  /** Makes the file anew, with holes where the medium had zeros. */
  static async make(reader: SectorReader, epochs: readonly EpochWrites[], path: string): Promise<CrashCopy> {
    const file = await open(path, 'w+');
    try {
      await file.truncate(reader.count * sectorSize);
      const chunk = 2048;
      for (let sector = 0; sector < reader.count; sector += chunk) {
        const bytes = await reader.startContent(sector, Math.min(chunk, reader.count - sector));
        if (!bytes.equals(Buffer.alloc(bytes.length)))
          await file.write(bytes, 0, bytes.length, sector * sectorSize);
      }
      return new CrashCopy(reader, epochs, path, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Puts the file into a state. What somebody else wrote to the file stays: give away copies of it. */
  async show({ epoch, selection }: CrashState): Promise<void> {
    const sectors = this.#move(epoch, selection);
    this.#shown = selection;
    let run: { first: number; count: number; from: Version } | undefined;
    const finish = async (): Promise<void> => {
      if (run === undefined) return;
      const { first, count, from } = run;
      const bytes =
        from === undefined
          ? await this.#reader.startContent(first, count)
          : await this.#reader.content(from.write, from.index, count);
      await this.#file.write(bytes, 0, bytes.length, first * sectorSize);
      run = undefined;
    };
    for (const sector of [...sectors].toSorted((a, b) => a - b)) {
      const wanted = this.#view.versionOf(sector, selection);
      const present = this.#present.get(sector);
      if (wanted?.write === present?.write) continue;
      if (wanted === undefined) this.#present.delete(sector);
      else this.#present.set(sector, wanted);
      const next = run !== undefined && run.first + run.count === sector && run.from?.write === wanted?.write;
      if (run !== undefined && next) run.count += 1;
      else {
        await finish();
        run = { first: sector, count: 1, from: wanted };
      }
    }
    await finish();
  }

  /** The sectors that may have to change. */
  #move(epoch: number, selection: Selection): Set<number> {
    if (epoch === this.#view.epoch) return this.#view.sectorsOf(differing(this.#shown, selection));
    const pending = (): Set<number> =>
      this.#view.sectorsOf(this.#epochs[this.#view.epoch]?.pending.keys() ?? []);
    // Forwards, what was pending is settled or pending still; backwards, any sector may have been written later.
    const back = epoch < this.#view.epoch;
    const sectors = new Set(back ? this.#present.keys() : []);
    if (back) this.#view = new MediumView(this.#epochs);
    for (const sector of this.#view.moveTo(epoch)) sectors.add(sector);
    for (const sector of pending()) sectors.add(sector);
    return sectors;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
