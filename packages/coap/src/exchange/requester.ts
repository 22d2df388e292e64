// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { CoapRequest, CoapResponse } from '../peer.ts';
import type { Deadline } from '../runtime/deadline.ts';
import type { MessageLayer } from './message-layer.ts';
import type { TokenTable } from './token-table.ts';

/** One request message and its one response message. */
export class Requester {
  readonly #layer: MessageLayer;
  readonly #tokens: TokenTable;

  constructor(layer: MessageLayer, tokens: TokenTable) {
    this.#layer = layer;
    this.#tokens = tokens;
  }

  /** Rejects with `coap/timeout`, `coap/aborted`, `coap/reset`, `coap/busy`, or why the peer closed. */
  exchange(request: CoapRequest, deadline: Deadline): Promise<CoapResponse> {
    return deadline.wait<CoapResponse>((resolve, reject) => {
      let stop = (): void => {};
      const done = (): void => {
        this.#tokens.close(token);
        stop();
      };
      const fail = (error: CoapError): void => {
        done();
        reject(error);
      };
      const token = this.#tokens.open({
        received: (message) => {
          done();
          resolve(message);
        },
        failed: fail,
      });
      const { code, options, payload } = request;
      try {
        stop = this.#layer.sendRequest({ code, token, options, payload }, fail);
      } catch (error) {
        this.#tokens.close(token);
        throw error;
      }
      return done;
    });
  }
}
