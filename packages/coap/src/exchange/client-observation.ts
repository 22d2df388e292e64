// SPDX-License-Identifier: Apache-2.0
import { isSuccessCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import type { CoapMessage } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { findOption, uintOption, uintValue, withOption } from '../message/option-values.ts';
import type { ClientObservation, CoapRequest, CoapResponse, NotificationListener } from '../peer.ts';
import type { Clock } from '../runtime/clock.ts';
import { Deadline } from '../runtime/deadline.ts';
import type { BlockClient } from './block-client.ts';
import { type Arrived, isFresher } from './freshness.ts';
import type { MessageLayer } from './message-layer.ts';
import type { TokenTable } from './token-table.ts';

const REGISTER = 0;
const DEREGISTER = 1;

export interface ObservationWiring {
  layer: MessageLayer;
  tokens: TokenTable;
  blocks: BlockClient;
  clock: Clock;
  timeoutMs: number;
  onListenerError: (error: unknown, request: CoapRequest) => void;
}

/**
 * Registers interest and gives the observation once the whole first response is here. When that response has no
 * Observe option, or is an error, the peer does not observe and the listener is never called (RFC 7641 §3.1).
 */
export async function observe(
  wiring: ObservationWiring,
  request: CoapRequest,
  listener: NotificationListener,
  deadline: Deadline,
): Promise<ClientObservation> {
  const registration = new Registration(wiring, request, listener);
  const first = await registration.start(deadline);
  return { first, cancel: () => registration.cancel() };
}

type State = 'registering' | 'observing' | 'cancelling' | 'ended';

class Registration {
  readonly #wiring: ObservationWiring;
  readonly #request: CoapRequest;
  readonly #listener: NotificationListener;
  #token: Uint8Array = new Uint8Array(0);
  #state: State = 'registering';
  #last: Arrived | undefined;
  /** The answer that `start` or `cancel` waits for. */
  #awaited: { resolve(message: CoapMessage): void; reject(error: CoapError): void } | undefined;
  /** Notifications that came before the whole first response was here; only the latest counts. */
  #early: CoapMessage | undefined;
  /** Ends the fetching of a notification's later blocks when a newer one comes. */
  #fetching: AbortController | undefined;

  constructor(wiring: ObservationWiring, request: CoapRequest, listener: NotificationListener) {
    this.#wiring = wiring;
    this.#request = request;
    this.#listener = listener;
  }

  async start(deadline: Deadline): Promise<CoapResponse> {
    this.#token = this.#wiring.tokens.open({
      received: (message) => this.#received(message),
      failed: (error) => this.#end(error),
    });
    try {
      const message = await this.#ask(REGISTER, deadline);
      const observed = isSuccessCode(message.code) && sequenceOf(message) !== undefined;
      if (!observed) this.#end();
      const first = await this.#wiring.blocks.download(this.#request, message, deadline);
      if (this.#state === 'registering') {
        this.#state = 'observing';
        if (this.#early !== undefined) this.#notified(this.#early);
      }
      return first;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /**
   * Deregisters; resolves too when the peer does not answer, because notifications are then rejected. The answer is a representation
   * as that of any GET (RFC 7641 §3.6): its later blocks are fetched, for a client that serves nobody else amid a transfer.
   */
  async cancel(): Promise<void> {
    if (this.#state !== 'observing') return;
    this.#state = 'cancelling';
    this.#fetching?.abort();
    const { clock, timeoutMs } = this.#wiring;
    using deadline = new Deadline(clock, timeoutMs, 'the end of an observation');
    try {
      const answer = await this.#ask(DEREGISTER, deadline);
      this.#end();
      await this.#wiring.blocks.download(this.#request, answer, deadline);
    } catch (error) {
      if (!(error instanceof CoapError)) throw error;
    } finally {
      this.#end();
    }
  }

  #ask(action: typeof REGISTER | typeof DEREGISTER, deadline: Deadline): Promise<CoapMessage> {
    const { code, options, payload } = this.#request;
    return deadline.wait<CoapMessage>((resolve, reject) => {
      const stop = this.#wiring.layer.sendRequest(
        {
          code,
          token: this.#token,
          options: withOption(options, uintOption(OptionNumber.OBSERVE, action)),
          payload,
        },
        reject,
      );
      this.#awaited = {
        resolve: (message) => {
          stop();
          resolve(message);
        },
        reject,
      };
      return stop;
    });
  }

  #received(message: CoapMessage): void {
    const sequence = sequenceOf(message);
    // A notification on its way is no answer to the deregistration.
    if (this.#state === 'cancelling' && sequence !== undefined) return;
    const awaited = this.#awaited;
    this.#awaited = undefined;
    if (awaited !== undefined) {
      this.#remember(sequence);
      return awaited.resolve(message);
    }
    if (!this.#isNews(sequence)) return;
    this.#remember(sequence);
    if (this.#state === 'registering') this.#early = message;
    else this.#notified(message);
  }

  #isNews(sequence: number | undefined): boolean {
    // A reliable transport keeps the order and the value says nothing (RFC 8323 §7.1).
    if (sequence === undefined || this.#last === undefined || this.#wiring.layer.reliable) return true;
    return isFresher(this.#last, { sequence, atMs: this.#wiring.clock.now() });
  }

  #remember(sequence: number | undefined): void {
    if (sequence !== undefined) this.#last = { sequence, atMs: this.#wiring.clock.now() };
  }

  #notified(message: CoapMessage): void {
    // Without the option, or with an error, this is the last one (RFC 7641 §3.2, §4.2).
    const last = !isSuccessCode(message.code) || sequenceOf(message) === undefined;
    this.#fetching?.abort();
    if (last) this.#end();
    if (findOption(message.options, OptionNumber.BLOCK2) === undefined) {
      const { code, options, payload } = message;
      return this.#deliver({ code, options, payload });
    }
    const fetching = new AbortController();
    this.#fetching = fetching;
    void this.#assemble(message, fetching);
  }

  async #assemble(message: CoapMessage, fetching: AbortController): Promise<void> {
    const { clock, timeoutMs, blocks } = this.#wiring;
    using deadline = new Deadline(clock, timeoutMs, 'a notification', fetching.signal);
    let response: CoapResponse;
    try {
      response = await blocks.download(this.#request, message, deadline);
    } catch (error) {
      // Superseded, or incomplete: the next notification brings the state (RFC 7641 §1.3).
      if (error instanceof CoapError) return;
      throw error;
    }
    if (!fetching.signal.aborted) this.#deliver(response);
  }

  /** What the application does with it must not end the connection. */
  #deliver(response: CoapResponse): void {
    try {
      this.#listener(response);
    } catch (error) {
      this.#wiring.onListenerError(error, this.#request);
    }
  }

  #end(error?: CoapError): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#wiring.tokens.close(this.#token);
    if (error !== undefined) {
      this.#fetching?.abort();
      this.#awaited?.reject(error);
    }
  }
}

function sequenceOf(message: CoapMessage): number | undefined {
  return uintValue(message.options, OptionNumber.OBSERVE);
}
