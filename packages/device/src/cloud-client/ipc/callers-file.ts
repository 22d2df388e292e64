// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { type AppCallers, maxAppCallersBytes, parseAppCallers, readText } from '@mbl/formats';
import type { Log } from '../../common/log.ts';

/** Who the apps are, as `mbl-apps` wrote it last. */
export class CallersFile {
  readonly #path: string;
  readonly #log: Log;
  #seen = '';
  #callers: AppCallers = new Map();

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }

  /** Without the file there is no app; one that is damaged counts as none. */
  async read(): Promise<AppCallers> {
    const found = await stat(this.#path, { bigint: true }).catch(() => undefined);
    const version = found === undefined ? '' : `${found.ino} ${found.mtimeNs} ${found.size}`;
    if (version === this.#seen) return this.#callers;
    this.#seen = version;
    try {
      const text = await readText(this.#path, maxAppCallersBytes);
      this.#callers = text === undefined ? new Map() : parseAppCallers(text);
    } catch (error) {
      this.#log.error('apps not known', { reason: error instanceof Error ? error.message : String(error) });
      this.#callers = new Map();
    }
    return this.#callers;
  }
}
