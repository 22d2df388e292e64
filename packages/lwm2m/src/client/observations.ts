// SPDX-License-Identifier: Apache-2.0
import type { Clock, CoapResponse, Observer, Timer } from '@mbl/coap';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { isWithin } from '../path.ts';
import type { Attributes } from './attributes.ts';
import { crossesCondition, sameNodes } from './notification-conditions.ts';

/** What the observations of a client need from it. */
export interface ObservedSource {
  read(paths: readonly Path[]): Promise<Node[]>;
  respond(nodes: readonly Node[]): CoapResponse;
  /** Turns a failed read into the response that ends the observation. */
  fail(error: unknown): CoapResponse;
  /** The attributes in force: those of the observed path over the defaults of the Server object. */
  attributes(): Promise<Attributes>;
}

/** One accepted observation: decides when to notify (LwM2M Core 1.1 §5.1.2, §6.4.1, §6.4.2). */
export class ServedObservation {
  readonly paths: readonly Path[];
  readonly #source: ObservedSource;
  readonly #observer: Observer;
  readonly #clock: Clock;
  #sent: readonly Node[];
  #sentAt: number;
  #timer: Timer | undefined;
  #evaluating = false;
  #again = false;

  constructor(
    paths: readonly Path[],
    source: ObservedSource,
    observer: Observer,
    clock: Clock,
    sent: readonly Node[],
  ) {
    this.paths = paths;
    this.#source = source;
    this.#observer = observer;
    this.#clock = clock;
    this.#sent = sent;
    this.#sentAt = clock.now();
  }

  get signal(): AbortSignal {
    return this.#observer.signal;
  }

  concerns(changed: Path): boolean {
    return this.paths.some((path) => isWithin(changed, path) || isWithin(path, changed));
  }

  /** Looks at the values and notifies if it is time. Call it after a change, after other attributes and at the start. */
  evaluate(): void {
    if (this.#evaluating) {
      this.#again = true;
      return;
    }
    this.#evaluating = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      try {
        await this.#evaluateOnce();
      } catch (error) {
        this.stop();
        if (!this.signal.aborted) this.#observer.end(this.#source.fail(error));
        this.#again = false;
      }
    } while (this.#again && !this.signal.aborted);
    this.#evaluating = false;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #evaluateOnce(): Promise<void> {
    const attributes = await this.#source.attributes();
    const nodes = await this.#source.read(this.paths);
    if (this.signal.aborted) return this.stop();
    const minimum = (attributes.pmin ?? 0) * 1000;
    const maximum = maximumPeriod(attributes);
    const elapsed = this.#clock.now() - this.#sentAt;
    const wanted = this.#isReportable(nodes, attributes);
    if (elapsed >= maximum || (wanted && elapsed >= minimum)) {
      this.#sent = nodes;
      this.#sentAt = this.#clock.now();
      this.#observer.notify(this.#source.respond(nodes));
      return this.#wakeIn(maximum);
    }
    this.#wakeIn(wanted ? Math.min(minimum, maximum) - elapsed : maximum - elapsed);
  }

  #isReportable(nodes: readonly Node[], attributes: Attributes): boolean {
    return crossesCondition(this.#sent, nodes, attributes) ?? !sameNodes(this.#sent, nodes);
  }

  #wakeIn(delayMs: number): void {
    this.stop();
    if (Number.isFinite(delayMs)) this.#timer = this.#clock.schedule(delayMs, () => this.evaluate());
  }
}

/** In milliseconds. A pmax below pmin is not applied (LwM2M Core 1.1 §5.1.2), nor is 0. */
function maximumPeriod({ pmin = 0, pmax = 0 }: Attributes): number {
  return pmax === 0 || pmax < pmin ? Number.POSITIVE_INFINITY : pmax * 1000;
}
