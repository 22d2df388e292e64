// SPDX-License-Identifier: Apache-2.0
import { isRequestCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import type { CoapMessage } from '../message/message.ts';
import type {
  ClientObservation,
  CoapPeer,
  CoapRequest,
  CoapResponse,
  NotificationListener,
  RequestOptions,
} from '../peer.ts';
import { Deadline } from '../runtime/deadline.ts';
import { BlockClient } from './block-client.ts';
import { observe } from './client-observation.ts';
import type { Arrival, MessageLayer } from './message-layer.ts';
import { checkOptions } from './option-check.ts';
import type { PeerSettings } from './peer-options.ts';
import { Requester } from './requester.ts';
import { Responder } from './responder.ts';
import { TokenTable } from './token-table.ts';

/** Requests and responses with one peer, both ways, above either transport. */
export class Exchanges implements CoapPeer {
  readonly #layer: MessageLayer;
  readonly #settings: PeerSettings;
  readonly #tokens: TokenTable;
  readonly #blocks: BlockClient;
  readonly #responder: Responder;
  readonly #controller = new AbortController();
  #refusal: CoapError | undefined;
  #calls = 0;
  #idle: (() => void) | undefined;

  constructor(layer: MessageLayer, settings: PeerSettings) {
    this.#layer = layer;
    this.#settings = settings;
    this.#tokens = new TokenTable(settings.random, settings.limits.maxRequests);
    this.#blocks = new BlockClient(new Requester(layer, this.#tokens), layer, settings.limits);
    this.#responder = new Responder(layer, settings, this);
  }

  get closed(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether anything is under way or observed, in either direction. */
  get busy(): boolean {
    return this.#calls > 0 || this.#tokens.size > 0 || this.#responder.busy;
  }

  request(request: CoapRequest, options: RequestOptions = {}): Promise<CoapResponse> {
    return this.#call(request, options, (deadline) =>
      this.#blocks.request(request, deadline, options.timeoutMs === undefined),
    );
  }

  observe(
    request: CoapRequest,
    listener: NotificationListener,
    options: RequestOptions = {},
  ): Promise<ClientObservation> {
    const wiring = {
      layer: this.#layer,
      tokens: this.#tokens,
      blocks: this.#blocks,
      clock: this.#settings.clock,
      timeoutMs: this.#settings.requestTimeoutMs,
      onListenerError: this.#settings.onHandlerError,
    };
    return this.#call(request, options, (deadline) => observe(wiring, request, listener, deadline));
  }

  ping(options: RequestOptions = {}): Promise<void> {
    return this.#wait('a ping', options, (deadline) => this.#layer.ping(deadline));
  }

  close(reason?: Error): void {
    if (this.closed.aborted) return;
    const error =
      reason instanceof CoapError
        ? reason
        : new CoapError('coap/closed', reason === undefined ? 'this end closed the peer' : reason.message, {
            cause: reason,
          });
    this.#layer.close(error);
  }

  /** Refuses new calls and says when those under way, in either direction, are done (RFC 8323 §5.5). */
  drain(refusal: CoapError, done: () => void): void {
    this.#refusal = refusal;
    this.#responder.whenIdle(() => {
      this.#idle = done;
      if (this.#calls === 0) done();
    });
  }

  receiveRequest(message: CoapMessage, arrival: Arrival): void {
    if (!this.closed.aborted) this.#responder.receive(message, arrival);
  }

  /** Whether somebody waited for this response and can use it (RFC 7252 §5.4.1). */
  receiveResponse(message: CoapMessage): boolean {
    const { options, problem } = checkOptions(message.options, this.#settings.understoodOptions);
    if (problem === undefined) return this.#tokens.receive({ ...message, options });
    const error = new CoapError('coap/bad-option', `the response cannot be used: ${problem.diagnostic}`);
    this.#tokens.fail(message.token, error);
    return false;
  }

  /** The peer is gone: everything that waits for it fails with the reason. */
  terminate(error: CoapError): void {
    if (this.closed.aborted) return;
    this.#refusal = error;
    this.#controller.abort(error);
    this.#tokens.closeAll(error);
    this.#responder.close(error);
  }

  #call<T>(
    request: CoapRequest,
    options: RequestOptions,
    act: (deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    if (!isRequestCode(request.code)) {
      return Promise.reject(new CoapError('coap/bad-argument', `code ${request.code} is no request method`));
    }
    return this.#wait('the request', options, async (deadline) => {
      await this.#layer.ready(deadline);
      return act(deadline);
    });
  }

  async #wait<T>(what: string, options: RequestOptions, act: (deadline: Deadline) => Promise<T>): Promise<T> {
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#calls >= this.#settings.limits.maxRequests) {
      throw new CoapError('coap/busy', `${this.#calls} requests to this peer are under way already`);
    }
    const { clock, requestTimeoutMs } = this.#settings;
    const { timeoutMs = requestTimeoutMs, signal } = options;
    using deadline = new Deadline(clock, timeoutMs, what, signal);
    this.#calls += 1;
    try {
      return await act(deadline);
    } finally {
      this.#calls -= 1;
      if (this.#calls === 0) this.#idle?.();
    }
  }
}
