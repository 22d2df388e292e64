// SPDX-License-Identifier: Apache-2.0

/** Bytes that unfinished uploads may hold together, of one peer or of many: the one that was not continued for longest gives way. */
export class UploadBudget {
  readonly #limit: number;
  readonly #held = new Map<object, { bytes: number; drop: () => void }>();
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What is held now, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The upload holds so many bytes from now on; `drop` is called when it must give them back. One over the limit is dropped itself. */
  hold(upload: object, bytes: number, drop: () => void): void {
    this.release(upload);
    this.#held.set(upload, { bytes, drop });
    this.#bytes += bytes;
    for (const [oldest, { drop: dropOldest }] of this.#held) {
      if (this.#bytes <= this.#limit) return;
      this.release(oldest);
      dropOldest();
    }
  }

  release(upload: object): void {
    this.#bytes -= this.#held.get(upload)?.bytes ?? 0;
    this.#held.delete(upload);
  }
}
