// SPDX-License-Identifier: Apache-2.0
import type { Clock, CoapResponse, Observer, Timer } from '@mbl/coap';
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import { message } from '../messages.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { isWithin } from '../path.ts';
import type { Attributes } from './attributes.ts';
import { crossesCondition, sameNodes } from './notification-conditions.ts';

/** What the observations of a client need from it. */
export interface ObservedSource {
  read(paths: readonly Path[]): Promise<Node[]>;
  respond(nodes: readonly Node[]): CoapResponse;
  /** The attributes in force: those of the observed path over the defaults of the Server object. */
  attributes(): Promise<Attributes>;
}

export interface ServedObservationOptions {
  paths: readonly Path[];
  source: ObservedSource;
  observer: Observer;
  clock: Clock;
  /** What the first response said. */
  sent: readonly Node[];
  onEnd: () => void;
}

/** One accepted observation: decides when to notify (LwM2M Core 1.1 §5.1.2, §6.4.1, §6.4.2). */
export class ServedObservation {
  readonly paths: readonly Path[];
  readonly #source: ObservedSource;
  readonly #observer: Observer;
  readonly #clock: Clock;
  #sent: readonly Node[];
  #sentAt: number;
  readonly #onEnd: () => void;
  #timer: Timer | undefined;
  #evaluating = false;
  #again = false;
  #stopped = false;

  constructor({ paths, source, observer, clock, sent, onEnd }: ServedObservationOptions) {
    this.paths = paths;
    this.#source = source;
    this.#observer = observer;
    this.#clock = clock;
    this.#sent = sent;
    this.#sentAt = clock.now();
    this.#onEnd = onEnd;
  }

  /** Waits for changes until the client deregisters or goes away. */
  start(): void {
    const { signal } = this.#observer;
    if (signal.aborted) return this.stop();
    signal.addEventListener('abort', () => this.stop(), { once: true });
    this.evaluate();
  }

  concerns(changed: Path): boolean {
    return this.paths.some((path) => isWithin(changed, path) || isWithin(path, changed));
  }

  /** Looks at the values and notifies if it is time. Call it after a change and after other attributes. */
  evaluate(): void {
    if (this.#stopped) return;
    this.#again = this.#evaluating;
    if (this.#evaluating) return;
    this.#evaluating = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      await this.#evaluateOnce().catch((error: unknown) => this.#fail(error));
    } while (this.#again && !this.#stopped);
    this.#evaluating = false;
  }

  /** What can no longer be read is observed no longer (RFC 7641 §4.2). */
  #fail(error: unknown): void {
    const status = error instanceof Lwm2mError ? error.status : undefined;
    this.#observer.end(message(status ?? Code.INTERNAL_SERVER_ERROR));
    this.stop();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#stopped) return;
    this.#stopped = true;
    this.#onEnd();
  }

  async #evaluateOnce(): Promise<void> {
    const attributes = await this.#source.attributes();
    const nodes = await this.#source.read(this.paths);
    if (this.#stopped) return;
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
    this.#timer?.cancel();
    this.#timer = undefined;
    if (Number.isFinite(delayMs)) this.#timer = this.#clock.schedule(delayMs, () => this.evaluate());
  }
}

/** In milliseconds. A pmax below pmin is not applied (LwM2M Core 1.1 §5.1.2), nor is 0. */
function maximumPeriod({ pmin = 0, pmax = 0 }: Attributes): number {
  return pmax === 0 || pmax < pmin ? Number.POSITIVE_INFINITY : pmax * 1000;
}
