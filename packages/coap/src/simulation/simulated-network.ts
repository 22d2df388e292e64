// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { DatagramTransport, RemoteAddress } from '../udp/udp-endpoint.ts';

/** What the network does to datagrams; may be changed while it runs. */
export interface NetworkFaults {
  /** Probability that a datagram is lost. */
  loss: number;
  /** Probability that it comes twice. */
  duplication: number;
  /** Each takes a time between these, so that a wide range reorders; in milliseconds. */
  minDelayMs: number;
  maxDelayMs: number;
}

export interface TracedDatagram {
  atMs: number;
  from: RemoteAddress;
  to: RemoteAddress;
  datagram: Uint8Array;
  lost: boolean;
}

const GOOD: NetworkFaults = { loss: 0, duplication: 0, minDelayMs: 10, maxDelayMs: 10 };

/** Datagrams between endpoints in one process, under a simulated clock, with every fault that UDP has. */
export class SimulatedNetwork {
  readonly faults: NetworkFaults;
  /** Everything that was sent, in the order of sending. */
  readonly trace: TracedDatagram[] = [];
  /** Decides the loss of single datagrams, before the probabilities do. */
  drops: (datagram: TracedDatagram) => boolean = () => false;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hosts = new Map<string, (datagram: Uint8Array, from: RemoteAddress) => void>();

  constructor(clock: Clock, random: Random, faults: Partial<NetworkFaults> = {}) {
    this.#clock = clock;
    this.#random = random;
    this.faults = { ...GOOD, ...faults };
  }

  /** Puts an endpoint at an address. `receive` may use the transport that this gives. */
  attach(
    local: RemoteAddress,
    receive: (datagram: Uint8Array, from: RemoteAddress) => void,
  ): DatagramTransport & { detach(): void } {
    const key = keyOf(local);
    this.#hosts.set(key, receive);
    return {
      send: (datagram, remote) => this.#send(local, remote, datagram),
      detach: () => this.#hosts.delete(key),
    };
  }

  #send(from: RemoteAddress, to: RemoteAddress, datagram: Uint8Array): void {
    const traced: TracedDatagram = {
      atMs: this.#clock.now(),
      from,
      to,
      datagram: datagram.slice(),
      lost: false,
    };
    this.trace.push(traced);
    traced.lost = this.drops(traced) || this.#random.fraction() < this.faults.loss;
    if (traced.lost) return;
    const copies = this.#random.fraction() < this.faults.duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const { minDelayMs, maxDelayMs } = this.faults;
      const delayMs = minDelayMs + this.#random.fraction() * (maxDelayMs - minDelayMs);
      this.#clock.schedule(delayMs, () => this.#hosts.get(keyOf(to))?.(traced.datagram.slice(), from));
    }
  }
}

function keyOf({ address, port }: RemoteAddress): string {
  return `${address} ${port}`;
}
