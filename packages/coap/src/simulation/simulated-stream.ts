// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { TcpSession, type TcpSessionOptions } from '../tcp/tcp-session.ts';

export interface StreamFaults {
  delayMs: number;
  /** Bytes are delivered in pieces of 1 to this many. */
  largestPiece: number;
}

/** Two sessions joined by a stream that keeps the order and cuts bytes anywhere, under a simulated clock. */
export class SimulatedStream {
  readonly client: TcpSession;
  readonly server: TcpSession;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #faults: StreamFaults;
  #connected = true;

  constructor(
    clock: Clock,
    random: Random,
    client: TcpSessionOptions,
    server: TcpSessionOptions,
    faults: Partial<StreamFaults> = {},
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#faults = { delayMs: 10, largestPiece: 1500, ...faults };
    this.client = this.#session(client, () => this.server);
    this.server = this.#session(server, () => this.client);
  }

  start(): void {
    this.client.start();
    this.server.start();
  }

  /** From now on nothing arrives and nobody is told, as when a cable is pulled. */
  cut(): void {
    this.#connected = false;
  }

  #session(options: TcpSessionOptions, other: () => TcpSession): TcpSession {
    const later = (action: () => void): void => {
      this.#clock.schedule(this.#faults.delayMs, () => {
        if (this.#connected) action();
      });
    };
    return new TcpSession(
      {
        write: (bytes) => {
          for (let at = 0; at < bytes.length; ) {
            const end = at + 1 + Math.floor(this.#random.fraction() * this.#faults.largestPiece);
            const piece = bytes.slice(at, end);
            later(() => other().receive(piece));
            at = end;
          }
          return 0;
        },
        end: () => later(() => other().ended()),
      },
      { clock: this.#clock, random: this.#random, ...options },
    );
  }
}
