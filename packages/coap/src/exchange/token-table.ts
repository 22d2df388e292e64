// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { CoapMessage } from '../message/message.ts';
import type { Random } from '../runtime/random.ts';

/** 32 random bits are what RFC 7252 §5.3.1 asks for against off-path spoofing. */
const TOKEN_LENGTH = 4;

/** Who waits for messages with a token. */
export interface TokenOwner {
  received(message: CoapMessage): void;
  /** The peer is gone, or its response cannot be used. */
  failed(error: CoapError): void;
}

/** The tokens of own requests and observations (RFC 7252 §5.3.1). */
export class TokenTable {
  readonly #owners = new Map<string, TokenOwner>();
  readonly #random: Random;
  readonly #limit: number;
  #closed: CoapError | undefined;

  constructor(random: Random, limit: number) {
    this.#random = random;
    this.#limit = limit;
  }

  /** Throws `coap/busy`, or why the peer is gone. */
  open(owner: TokenOwner): Uint8Array {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#owners.size >= this.#limit) {
      throw new CoapError('coap/busy', `${this.#limit} requests to this peer are under way already`);
    }
    let token = this.#random.bytes(TOKEN_LENGTH);
    while (this.#owners.has(tokenKey(token))) token = this.#random.bytes(TOKEN_LENGTH);
    this.#owners.set(tokenKey(token), owner);
    return token;
  }

  close(token: Uint8Array): void {
    this.#owners.delete(tokenKey(token));
  }

  /** Whether anybody waited for the message. */
  receive(message: CoapMessage): boolean {
    const owner = this.#owners.get(tokenKey(message.token));
    owner?.received(message);
    return owner !== undefined;
  }

  /** Tells who waits for messages with this token that there will be none. */
  fail(token: Uint8Array, error: CoapError): void {
    this.#owners.get(tokenKey(token))?.failed(error);
  }

  get size(): number {
    return this.#owners.size;
  }

  closeAll(error: CoapError): void {
    this.#closed = error;
    const owners = [...this.#owners.values()];
    this.#owners.clear();
    for (const owner of owners) owner.failed(error);
  }
}

export function tokenKey(token: Uint8Array): string {
  return Buffer.from(token.buffer, token.byteOffset, token.byteLength).toString('hex');
}
