// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { Clock } from '@mbl/coap';

export interface DoorwayOptions {
  /** Connections that are worked on side by side. */
  readonly atOnce: number;
  /** After so many milliseconds a connection that is worked on no longer counts: it waits for its network, and holds nobody up. */
  readonly patienceMs: number;
  /** How long a connection may say nothing at all, in milliseconds. */
  readonly silenceMs: number;
  readonly clock: Clock;
}

/**
 * Where connections wait that came in the same moment. A handshake and what follows it cost milliseconds of computing: of thousands at once the
 * event loop would do nothing else for seconds, and pings, requests and answers of the devices that are there would wait. A connection waits
 * unread and costs little; its turn begins when its first bytes are there, in the order in which they came, so that one that is silent takes
 * nobody's place.
 */
export class Doorway implements Disposable {
  readonly #options: DoorwayOptions;
  readonly #begin: (socket: Socket) => void;
  /** Those that have said nothing yet, and those whose turn has not come, the longest there first. */
  readonly #silent = new Set<Socket>();
  readonly #waiting = new Set<Socket>();
  /** What ends the turn of a connection, by its far end: a TLS socket does not name the one that it was made of. */
  readonly #turns = new Map<string, () => void>();
  #inside = 0;

  /** `begin` takes a connection whose turn it is; `done` with the same far end, or its close, ends the turn. */
  constructor(options: DoorwayOptions, begin: (socket: Socket) => void) {
    this.#options = options;
    this.#begin = begin;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes a connection that has just been accepted. */
  arrive(socket: Socket): void {
    const silence = this.#options.clock.schedule(this.#options.silenceMs, () => socket.destroy());
    this.#silent.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      silence.cancel();
      this.#silent.delete(socket);
      this.#waiting.delete(socket);
    });
    socket.once('readable', () => {
      silence.cancel();
      if (!this.#silent.delete(socket)) return;
      this.#waiting.add(socket);
      this.#next();
    });
  }

  /** The connection with this far end has been let in or sent away. */
  done({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#turns.get(farEnd(remoteAddress, remotePort))?.();
  }

  /** Sends everybody away whose turn has not come. */
  [Symbol.dispose](): void {
    for (const socket of [...this.#silent, ...this.#waiting]) socket.destroy();
  }

  #next(): void {
    for (const socket of this.#waiting) {
      if (this.#inside >= this.#options.atOnce) return;
      this.#waiting.delete(socket);
      this.#start(socket);
    }
  }

  #start(socket: Socket): void {
    const key = farEnd(socket.remoteAddress, socket.remotePort);
    let over = false;
    const leave = (): void => {
      if (over) return;
      over = true;
      patience.cancel();
      this.#inside -= 1;
      // Not within the work of the one that leaves: the loop gets to everything else in between.
      setImmediate(() => this.#next());
    };
    const release = (): void => {
      if (this.#turns.get(key) === release) this.#turns.delete(key);
      leave();
    };
    const patience = this.#options.clock.schedule(this.#options.patienceMs, leave);
    this.#inside += 1;
    this.#turns.set(key, release);
    socket.once('close', release);
    this.#begin(socket);
  }
}

/** Names a connection among those of one listener. */
function farEnd(address: string | undefined, port: number | undefined): string {
  return `${address ?? ''} ${port ?? ''}`;
}
