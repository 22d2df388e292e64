// SPDX-License-Identifier: Apache-2.0

/** Unsigned LEB128, seven bits a byte, lowest first; below 2^32. */
export class VarintWriter {
  readonly #bytes: number[] = [];

  write(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes.push((rest % 0x80) | 0x80);
    this.#bytes.push(rest);
  }

  finish(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

export class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Undefined at a number that is cut off, or not below 2^32. */
  read(): number | undefined {
    let value = 0;
    for (let scale = 1; scale < 2 ** 32; scale *= 0x80) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return undefined;
      this.#at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value < 2 ** 32 ? value : undefined;
    }
    return undefined;
  }
}
