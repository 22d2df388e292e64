// SPDX-License-Identifier: Apache-2.0

/** Reads bytes of a stream by count. Pieces are views of what the stream gave. */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #piece: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly `size` bytes; fewer where the stream ends before. */
  async read(size: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let left = size;
    for await (const piece of this.pieces(size)) {
      pieces.push(piece);
      left -= piece.length;
    }
    return pieces.length === 1 && left === 0 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces);
  }

  /** The next `size` bytes as they come; fewer where the stream ends before. */
  async *pieces(size: number): AsyncGenerator<Buffer> {
    for (let left = size; left > 0; ) {
      if (this.#piece.length === 0 && !(await this.#next())) return;
      const piece = this.#piece.subarray(0, left);
      this.#piece = this.#piece.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Reads the stream to its end, for who looks at all of it. */
  async drain(): Promise<void> {
    this.#piece = Buffer.alloc(0);
    while (await this.#next());
    this.#piece = Buffer.alloc(0);
  }

  /** Ends the stream before its end. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done === true) return false;
      if (value.length === 0) continue;
      this.#piece = value;
      return true;
    }
  }
}
