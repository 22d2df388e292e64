// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { JournalStore } from '../devices.ts';
import { requestCost } from './plan.ts';

/** A journal is written for so much at least, so that small requests do not cost a write each. */
const ahead = 256 * 1024;
const maxJournalSize = 1024;

/**
 * Counts what comes over the wire for one target, over restarts too, against the owner's budget. A request is admitted before it is made, for
 * all that it may bring.
 */
export class Meter {
  readonly #store: JournalStore;
  readonly #target: string;
  readonly #budget: number;
  #spent: number;
  #recorded: number;
  #expected = 0;
  /** Received before there was a plan, which the next run would have to fetch again. */
  #beforePlan = 0;
  #planned = false;
  requests = 0;

  private constructor(store: JournalStore, target: string, budget: number, spent: number) {
    this.#store = store;
    this.#target = target;
    this.#budget = budget;
    this.#spent = spent;
    this.#recorded = spent;
  }

  /** `budget`: bytes, `Infinity` for none. A journal of another target, or one that cannot be read, counts as none. */
  static async open(store: JournalStore, target: string, budget: number): Promise<Meter> {
    return new Meter(store, target, budget, parseJournal(await store.read(), target));
  }

  /** Bytes so far, earlier runs for this target included. */
  get spent(): number {
    return this.#spent;
  }

  /** Bytes that are still to come by the plan. */
  get remaining(): number {
    return this.#expected;
  }

  /** What is still to come, as far as it is planned. Throws `blocks/over-budget` when that does not fit. */
  expect(bytes: number): void {
    this.#expected = bytes;
    this.#planned = true;
    this.#demand(bytes);
  }

  /**
   * Before a request for so many bytes. `planned`: it is part of what was expected. They are in the journal before they are asked for: a power cut
   * makes the count too high, by one request, and never too low. Throws `blocks/over-budget`.
   */
  async admit(bytes: number, planned: boolean): Promise<void> {
    const request = bytes + requestCost;
    this.#demand(planned ? Math.max(this.#expected, request) : this.#expected + request);
    if (this.#spent + request > this.#recorded) await this.#record(this.#spent + Math.max(request, ahead));
    this.requests += 1;
    this.count(requestCost, planned);
  }

  /** After bytes were received. */
  count(bytes: number, planned: boolean): void {
    this.#spent += bytes;
    if (!this.#planned) this.#beforePlan += bytes;
    if (planned) this.#expected = Math.max(0, this.#expected - bytes);
  }

  /** Writes down what was really spent. */
  async settle(): Promise<void> {
    if (this.#recorded !== this.#spent) await this.#record(this.#spent);
  }

  async #record(spent: number): Promise<void> {
    await this.#store.write(Buffer.from(JSON.stringify({ version: 1, target: this.#target, spent })));
    this.#recorded = spent;
  }

  #demand(bytes: number): void {
    if (this.#spent + bytes <= this.#budget) return;
    const needed = this.#spent + this.#beforePlan + bytes;
    throw new MblError(
      'blocks/over-budget',
      `The transfer needs at least ${needed} bytes in all, and its budget is ${this.#budget}.`,
      {
        remedy: `Raise the budget to ${needed} bytes, or wait for a link without one; what was received is kept.`,
        details: { needed, spent: this.#spent, budget: this.#budget },
      },
    );
  }
}

function parseJournal(bytes: Uint8Array | undefined, target: string): number {
  if (bytes === undefined || bytes.length > maxJournalSize) return 0;
  try {
    const journal: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof journal !== 'object' || journal === null) return 0;
    const { version, target: of, spent } = journal as Record<string, unknown>;
    return version === 1 && of === target && Number.isSafeInteger(spent) && Number(spent) >= 0
      ? Number(spent)
      : 0;
  } catch {
    return 0;
  }
}
