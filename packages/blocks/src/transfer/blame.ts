// SPDX-License-Identifier: Apache-2.0

/** Somebody gave blocks that are not the target's. */
export interface Wrong {
  /** Of the source, the slot or the mirror. */
  readonly name: string;
  /** How many. */
  readonly blocks: number;
  /** The first of them: blocks of the target. */
  readonly first: readonly number[];
}

const shown = 16;

/** Remembers who gave wrong blocks. */
export class Blame {
  readonly #wrong = new Map<string, { blocks: number; first: number[] }>();

  add(name: string, block: number): void {
    const entry = this.#wrong.get(name) ?? { blocks: 0, first: [] };
    this.#wrong.set(name, entry);
    entry.blocks += 1;
    if (entry.first.length < shown) entry.first.push(block);
  }

  get all(): Wrong[] {
    return [...this.#wrong].map(([name, { blocks, first }]) => ({ name, blocks, first }));
  }
}
