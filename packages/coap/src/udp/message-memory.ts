// SPDX-License-Identifier: Apache-2.0
import type { UdpMessage } from '../message/udp-message.ts';
import type { Clock } from '../runtime/clock.ts';
import { tokenKey } from '../exchange/token-table.ts';

/** What this end did with a message it received. */
export interface Remembered {
  readonly expiresAt: number;
  readonly identity: string;
  /** Sent again when the message comes again (RFC 7252 §4.5). */
  reply: Uint8Array | undefined;
  /** The message came again before there was a reply. */
  repeated: (() => void) | undefined;
}

/** Message ids of one peer, so that a message that comes twice acts once (RFC 7252 §4.5). */
export class MessageMemory {
  readonly #entries = new Map<number, Remembered>();
  readonly #clock: Clock;
  readonly #lifetimeMs: number;
  readonly #limit: number;

  constructor(clock: Clock, lifetimeMs: number, limit: number) {
    this.#clock = clock;
    this.#lifetimeMs = lifetimeMs;
    this.#limit = limit;
  }

  /** The entry of a message that came before; undefined for a new one. */
  find(message: UdpMessage): Remembered | undefined {
    const entry = this.#entries.get(message.messageId);
    if (entry === undefined || entry.expiresAt <= this.#clock.now()) return undefined;
    // A peer that restarted counts from anywhere: the same id with another token is another message.
    return entry.identity === identityOf(message) ? entry : undefined;
  }

  add(message: UdpMessage): Remembered {
    const entry: Remembered = {
      expiresAt: this.#clock.now() + this.#lifetimeMs,
      identity: identityOf(message),
      reply: undefined,
      repeated: undefined,
    };
    this.#entries.delete(message.messageId);
    this.#entries.set(message.messageId, entry);
    for (const [messageId, { expiresAt }] of this.#entries) {
      if (this.#entries.size <= this.#limit && expiresAt > this.#clock.now()) break;
      this.#entries.delete(messageId);
    }
    return entry;
  }
}

function identityOf(message: UdpMessage): string {
  return `${message.type} ${message.code} ${tokenKey(message.token)}`;
}
