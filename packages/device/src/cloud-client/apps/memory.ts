// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import {
  type DesiredApps,
  formatDesiredApps,
  maxDesiredApps,
  parseDesiredApps,
  readText,
} from '@mbl/formats';
import { writeAtomic } from '../../common/files.ts';

const fileName = 'apps.json';

/** Which apps the device is to have, over a restart. */
export class AppMemory {
  readonly #folder: string;
  #desired: DesiredApps | undefined;
  #saved: Promise<void> = Promise.resolve();

  private constructor(folder: string, desired: DesiredApps | undefined) {
    this.#folder = folder;
    this.#desired = desired;
  }

  /** From a folder; what is missing or damaged counts as nothing: no app is removed for it. */
  static async load(folder: string): Promise<AppMemory> {
    try {
      const text = await readText(join(folder, fileName), 4 * maxDesiredApps);
      return new AppMemory(folder, text === undefined ? undefined : parseDesiredApps(text.trim()));
    } catch {
      return new AppMemory(folder, undefined);
    }
  }

  /** Undefined: nobody has said. */
  get desired(): DesiredApps | undefined {
    return this.#desired;
  }

  /** It is there after a power cut once this resolved. Throws what writing throws; what was there before counts then. */
  async keep(desired: DesiredApps): Promise<void> {
    // One after the other: the last one must be the one that stays.
    const saved = this.#saved.then(async () => {
      await writeAtomic(join(this.#folder, fileName), `${formatDesiredApps(desired)}\n`);
      this.#desired = desired;
    });
    this.#saved = saved.catch(() => undefined);
    await saved;
  }
}
