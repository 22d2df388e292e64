// SPDX-License-Identifier: Apache-2.0
import { Code, isResponseCode, isSuccessCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { type Block, blockOption } from '../message/block.ts';
import type { CoapMessage } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { maxAgeOption, uintValue, withOption } from '../message/option-values.ts';
import type { CoapPeer, CoapRequest, CoapResponse, RequestContext } from '../peer.ts';
import { BlockServer, plain } from './block-server.ts';
import { BodyStreams } from './body-streams.ts';
import type { Arrival, MessageLayer } from './message-layer.ts';
import { checkOptions } from './option-check.ts';
import type { PeerSettings } from './peer-options.ts';
import { observationEnded, ServerObserver } from './server-observer.ts';
import { tokenKey } from './token-table.ts';

/** Seconds after which a client that was refused for load may come again. */
const BUSY_MAX_AGE = 1;

/** Answers the requests of one peer. */
export class Responder {
  readonly #layer: MessageLayer;
  readonly #settings: PeerSettings;
  readonly #peer: CoapPeer;
  readonly #blocks: BlockServer;
  readonly #streams: BodyStreams;
  readonly #observers = new Map<string, ServerObserver>();
  readonly #running = new Set<{ cancel(): void }>();
  #idle: (() => void) | undefined;

  constructor(layer: MessageLayer, settings: PeerSettings, peer: CoapPeer) {
    this.#layer = layer;
    this.#settings = settings;
    this.#peer = peer;
    this.#blocks = new BlockServer(layer, settings);
    this.#streams = new BodyStreams(layer, settings);
  }

  get busy(): boolean {
    return this.#running.size > 0 || this.#observers.size > 0;
  }

  /** Calls back once, when no request is being answered. */
  whenIdle(action: () => void): void {
    this.#idle = action;
    if (this.#running.size === 0) action();
  }

  receive(message: CoapMessage, arrival: Arrival): void {
    const { options, problem } = checkOptions(message.options, this.#settings.understoodOptions);
    if (problem !== undefined) {
      if (!arrival.confirmable) return arrival.reject();
      return send(message, arrival, plain(problem.code, problem.diagnostic));
    }
    const request: CoapRequest = { code: message.code, options, payload: message.payload };
    const isFull = this.#running.size >= this.#settings.limits.maxIncoming;
    if (isFull && this.#streams.concerns(request)) return send(message, arrival, busy());
    const streamed = this.#streams.take(request);
    const assembled = streamed === undefined ? this.#blocks.assemble(request) : { request };
    if ('response' in assembled) return send(message, arrival, assembled.response);
    const later = streamed === undefined ? this.#blocks.later(assembled.request) : undefined;
    if (later !== undefined) return send(message, arrival, later);
    if (isFull) return send(message, arrival, busy());
    const echo = 'echo' in assembled ? assembled.echo : undefined;
    this.#run(message, arrival, assembled.request, echo, streamed);
  }

  close(error: CoapError): void {
    for (const entry of this.#running) entry.cancel();
    this.#running.clear();
    for (const observer of [...this.#observers.values()]) observer.abort(error);
    this.#blocks.clear();
    this.#streams.close(error);
  }

  #run(
    message: CoapMessage,
    arrival: Arrival,
    request: CoapRequest,
    echo: Block | undefined,
    streamed: (() => Promise<CoapResponse>) | undefined,
  ): void {
    const { context, observer } = this.#context(message, request);
    const { clock, requestTimeoutMs } = this.#settings;
    const timer = clock.schedule(requestTimeoutMs, () =>
      finish(plain(Code.SERVICE_UNAVAILABLE, 'no answer in time')),
    );
    this.#running.add(timer);
    const finish = (response: CoapResponse): void => {
      if (!this.#running.delete(timer)) return;
      timer.cancel();
      this.#finish(message, arrival, request, echo, response, observer());
      if (this.#running.size === 0) this.#idle?.();
    };
    void this.#ask(request, context, streamed).then(finish);
  }

  async #ask(
    request: CoapRequest,
    context: RequestContext,
    streamed: (() => Promise<CoapResponse>) | undefined,
  ): Promise<CoapResponse> {
    const { handler, onHandlerError } = this.#settings;
    try {
      const response =
        streamed !== undefined
          ? await streamed()
          : handler === undefined
            ? plain(Code.NOT_FOUND)
            : await handler(request, context);
      if (isResponseCode(response.code)) return response;
      throw new CoapError(
        'coap/bad-argument',
        `the handler answered with ${response.code}, no response code`,
      );
    } catch (error) {
      if (error instanceof CoapError && error.code === 'coap/bad-option') {
        return plain(Code.BAD_OPTION, error.message);
      }
      onHandlerError(error, request);
      return plain(Code.INTERNAL_SERVER_ERROR);
    }
  }

  #finish(
    message: CoapMessage,
    arrival: Arrival,
    request: CoapRequest,
    echo: Block | undefined,
    answer: CoapResponse,
    observer: ServerObserver | undefined,
  ): void {
    const observed = observer !== undefined && !observer.ended && isSuccessCode(answer.code);
    const response = this.#fit(request, observed ? observer.registered(answer) : answer);
    const echoed =
      echo === undefined ? undefined : blockOption(OptionNumber.BLOCK1, { ...echo, more: false });
    send(
      message,
      arrival,
      echoed === undefined ? response : { ...response, options: withOption(response.options, echoed) },
    );
    if (observed) observer.start();
    else observer?.abort(observationEnded('the registration was not accepted'));
  }

  /** What the handler is given; `observer` tells afterwards whether it accepted the observation. */
  #context(
    message: CoapMessage,
    request: CoapRequest,
  ): { context: RequestContext; observer: () => ServerObserver | undefined } {
    const key = tokenKey(message.token);
    const method = request.code === Code.GET || request.code === Code.FETCH;
    const observe = method ? uintValue(request.options, OptionNumber.OBSERVE) : undefined;
    // A new request with the token replaces the registration or ends it (RFC 7641 §4.1).
    if (observe !== undefined) this.#observers.get(key)?.abort(observationEnded('asked by the client'));
    const allowed = observe === 0 && this.#observers.size < this.#settings.limits.maxObservers;
    if (!allowed) return { context: { peer: this.#peer }, observer: () => undefined };
    let observer: ServerObserver | undefined;
    const acceptObserve = (): ServerObserver => {
      if (observer !== undefined) return observer;
      const created = new ServerObserver(
        this.#layer,
        message.token.slice(),
        (response) => this.#fit(request, response),
        () => {
          if (this.#observers.get(key) === created) this.#observers.delete(key);
        },
      );
      observer = created;
      if (this.#peer.closed.aborted) created.abort(observationEnded('the peer is gone'));
      else this.#observers.set(key, created);
      return created;
    };
    return { context: { peer: this.#peer, acceptObserve }, observer: () => observer };
  }

  #fit(request: CoapRequest, response: CoapResponse): CoapResponse {
    try {
      return this.#blocks.fit(request, response);
    } catch (error) {
      this.#settings.onHandlerError(error, request);
      return plain(Code.INTERNAL_SERVER_ERROR, 'the response does not fit a message that this peer takes');
    }
  }
}

function send(request: CoapMessage, arrival: Arrival, { code, options, payload }: CoapResponse): void {
  arrival.respond({ code, token: request.token, options, payload });
}

function busy(): CoapResponse {
  const response = plain(Code.SERVICE_UNAVAILABLE, 'too many requests at once');
  return { ...response, options: [maxAgeOption(BUSY_MAX_AGE)] };
}
