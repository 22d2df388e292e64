// SPDX-License-Identifier: Apache-2.0
import { tooLarge } from '../errors.ts';
import type { Limits } from '../limits.ts';

/** What an image has used of its limits so far, over all its layers. */
export class Budget {
  readonly limits: Limits;
  #bytes = 0;
  #entries = 0;
  #text = 0;

  constructor(limits: Limits) {
    this.limits = limits;
  }

  /** Before an entry is looked at. */
  entry(): void {
    this.#entries += 1;
    if (this.#entries > this.limits.entries) throw tooLarge(`it has more than ${this.limits.entries} files`);
  }

  /** Before content is read, by the size that its header says. */
  content(path: string, size: number): void {
    if (size > this.limits.file)
      throw tooLarge(`/${path} would have ${size} bytes, and a file may have ${this.limits.file}`);
    this.#bytes += size;
    if (this.#bytes > this.limits.bytes)
      throw tooLarge(`its files have more than ${this.limits.bytes} bytes`);
  }

  /** Names, targets of links and extended attributes, which are kept in memory. */
  text(size: number): void {
    this.#text += size;
    if (this.#text > this.limits.text) throw tooLarge('the names of its files are too long in all');
  }
}
