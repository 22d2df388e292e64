// SPDX-License-Identifier: Apache-2.0
import { isSuccessCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import type { CoapMessage } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { uintOption, withOption, withoutOptions } from '../message/option-values.ts';
import type { CoapResponse, Observer } from '../peer.ts';
import type { MessageLayer } from './message-layer.ts';

/** One client's interest in one resource (RFC 7641 §4.1). */
export class ServerObserver implements Observer {
  readonly #layer: MessageLayer;
  readonly #token: Uint8Array;
  readonly #fit: (response: CoapResponse) => CoapResponse;
  readonly #removed: () => void;
  readonly #controller = new AbortController();
  #sequence = 1;
  /** Whether the response to the registration is out: nothing goes before it. */
  #started = false;
  #inFlight = false;
  /** The newest state not sent; an older one is forgotten (RFC 7641 §4.5.2). */
  #next: CoapResponse | undefined;
  #ended = false;

  constructor(
    layer: MessageLayer,
    token: Uint8Array,
    fit: (response: CoapResponse) => CoapResponse,
    removed: () => void,
  ) {
    this.#layer = layer;
    this.#token = token;
    this.#fit = fit;
    this.#removed = removed;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A state that is no success ends the observation (RFC 7641 §4.2). */
  notify(response: CoapResponse): void {
    if (this.#ended) return;
    if (!isSuccessCode(response.code)) return this.end(response);
    this.#next = response;
    this.#flush();
  }

  end(response?: CoapResponse): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#removed();
    this.#next = response;
    this.#flush();
  }

  /** The client is gone or asked no more: nothing is sent, and the application is told. */
  abort(error: CoapError): void {
    this.#next = undefined;
    if (!this.#ended) {
      this.#ended = true;
      this.#removed();
    }
    this.#controller.abort(error);
  }

  /** Marks the response to the registration (RFC 7641 §4.1). */
  registered(response: CoapResponse): CoapResponse {
    return this.#marked(response);
  }

  /** The response to the registration is out. */
  start(): void {
    this.#started = true;
    this.#flush();
  }

  #flush(): void {
    if (!this.#started || this.#inFlight) return;
    const message = this.#take();
    if (message === undefined) return;
    this.#inFlight = true;
    this.#layer.sendNotification(message, {
      delivered: () => {
        this.#inFlight = false;
        this.#flush();
      },
      failed: (error) => {
        this.#inFlight = false;
        this.abort(error);
      },
      fresher: () => this.#take(),
    });
  }

  #take(): CoapMessage | undefined {
    const response = this.#next;
    this.#next = undefined;
    if (response === undefined) return undefined;
    const { code, options, payload } = this.#fit(this.#ended ? response : this.#marked(response));
    return { code, token: this.#token, options, payload };
  }

  /** A reliable transport keeps the order, the value is empty then (RFC 8323 §7.1). */
  #marked(response: CoapResponse): CoapResponse {
    const sequence = this.#layer.reliable ? 0 : this.#sequence++ & 0xff_ffff;
    const options = withoutOptions(response.options, OptionNumber.OBSERVE);
    return { ...response, options: withOption(options, uintOption(OptionNumber.OBSERVE, sequence)) };
  }
}

export function observationEnded(why: string): CoapError {
  return new CoapError('coap/closed', `the observation ended: ${why}`);
}
