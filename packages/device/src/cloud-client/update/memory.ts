// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readRecord, readText } from '@mbl/formats';
import { writeAtomic } from '../../common/files.ts';

interface Remembered {
  /** The Package URI that is being followed; '' for none. */
  readonly uri: string;
  /** Bytes that an update may cost on the wire; 0: no limit. */
  readonly budget: number;
  /** Seconds for which apps may have a restart wait; 0: not at all. */
  readonly longestDeferral: number;
}

const initial: Remembered = { uri: '', budget: 0, longestDeferral: 3600 };

const fileName = 'update.json';
const maxBytes = 8192;
/** A Package URI (LwM2M Core 1.1 Appendix E.6, resource 1). */
export const longestUri = 255;

/** What the client keeps of updates over a restart. */
export class UpdateMemory {
  readonly #folder: string;
  #held: Remembered;
  #saved: Promise<void> = Promise.resolve();

  private constructor(folder: string, held: Remembered) {
    this.#folder = folder;
    this.#held = held;
  }

  /** From a folder; what is missing or damaged counts as nothing. */
  static async load(folder: string): Promise<UpdateMemory> {
    const path = join(folder, fileName);
    try {
      const text = (await readText(path, maxBytes)) ?? '';
      const json = readRecord(text, { path, code: 'device/bad-update-memory', most: maxBytes });
      const uri = json.is('uri', '') ? '' : json.string('uri');
      const { longestDeferral } = initial;
      return new UpdateMemory(folder, {
        uri,
        budget: json.integer('budget'),
        longestDeferral: json.is('longestDeferral', undefined)
          ? longestDeferral
          : json.integer('longestDeferral'),
      });
    } catch {
      return new UpdateMemory(folder, initial);
    }
  }

  get uri(): string {
    return this.#held.uri;
  }

  get budget(): number {
    return this.#held.budget;
  }

  get longestDeferral(): number {
    return this.#held.longestDeferral;
  }

  /** Once all that was to be kept is there, or could not be. */
  async settled(): Promise<void> {
    await this.#saved;
  }

  /** It is there after a power cut once this resolved. Throws what writing throws. */
  async keep(change: Partial<Remembered>): Promise<void> {
    this.#held = { ...this.#held, ...change };
    // One after the other: the last one must be the one that stays.
    const saved = this.#saved.then(() =>
      writeAtomic(join(this.#folder, fileName), `${JSON.stringify({ version: 1, ...this.#held })}\n`),
    );
    this.#saved = saved.catch(() => undefined);
    await saved;
  }
}
