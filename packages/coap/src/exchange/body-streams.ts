// SPDX-License-Identifier: Apache-2.0
import { Code } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { type Block, blockOffset, blockOption, blockValue } from '../message/block.ts';
import { EMPTY_BYTES } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { withOption } from '../message/option-values.ts';
import type { BodySink, CoapRequest, CoapResponse } from '../peer.ts';
import { plain, TRANSFER_LIFETIME_MS } from './block-server.ts';
import { ExpiringMap } from './expiring-map.ts';
import { isWellFormed, requestKey } from './incoming-block.ts';
import type { MessageLayer } from './message-layer.ts';
import type { PeerSettings } from './peer-options.ts';

interface Stream {
  readonly sink: BodySink;
  /** Bytes that came. */
  length: number;
  /** The sink has not taken the last block yet. */
  busy: boolean;
  ended: boolean;
}

/** Hands the blocks of request bodies on as they come (RFC 7959 §2.3), for one peer: none is held longer than its sink takes. */
export class BodyStreams {
  readonly #layer: MessageLayer;
  readonly #settings: PeerSettings;
  readonly #streams: ExpiringMap<Stream>;
  #why = new CoapError('coap/timeout', 'the next block did not come');

  constructor(layer: MessageLayer, settings: PeerSettings) {
    this.#layer = layer;
    this.#settings = settings;
    const { clock, limits } = settings;
    this.#streams = new ExpiringMap(clock, TRANSFER_LIFETIME_MS, limits.maxTransfers, (stream) =>
      this.#leave(stream, this.#why),
    );
  }

  /** Whether the message may belong to a streamed body. */
  concerns(request: CoapRequest): boolean {
    const { openBody } = this.#settings;
    return openBody !== undefined && blockValue(request.options, OptionNumber.BLOCK1) !== undefined;
  }

  /** How the message is answered where its body is streamed; undefined where it is not, and where no stream has the block. */
  take(request: CoapRequest): (() => Promise<CoapResponse>) | undefined {
    const { openBody } = this.#settings;
    const block = blockValue(request.options, OptionNumber.BLOCK1);
    if (openBody === undefined || block === undefined) return undefined;
    const key = requestKey(request);
    // RFC 7959 §2.5: a first block begins anew, whatever came before.
    if (block.number === 0) this.#abort(key, 'the transfer was begun anew');
    const { length } = request.payload;
    if (!isWellFormed(block, length, this.#layer.reliable)) return undefined;
    if (block.number === 0 && block.more) {
      const opened = openBody(request);
      if (opened === undefined) return undefined;
      if ('code' in opened) return () => Promise.resolve(opened);
      this.#streams.set(key, { sink: opened, length: 0, busy: false, ended: false });
    }
    const stream = this.#streams.get(key);
    if (stream === undefined) return undefined;
    // RFC 7959 §2.9.2. One block at a time: whoever sends more at once would have them held here.
    if (stream.busy || stream.length !== blockOffset(block))
      return () => Promise.resolve(plain(Code.REQUEST_ENTITY_INCOMPLETE));
    stream.busy = true;
    stream.length += length;
    this.#streams.set(key, stream);
    return async () => await this.#step(key, stream, block, request.payload);
  }

  /** The peer is gone. */
  close(error: CoapError): void {
    this.#why = error;
    this.#streams.clear();
  }

  async #step(key: string, stream: Stream, block: Block, payload: Uint8Array): Promise<CoapResponse> {
    try {
      const refusal = await stream.sink.write(payload);
      if (refusal !== undefined) {
        this.#end(key, stream);
        return refusal;
      }
      // Begun anew, or the peer gone, while this was written.
      if (stream.ended) return plain(Code.REQUEST_ENTITY_INCOMPLETE);
      if (!block.more) {
        this.#end(key, stream);
        const response = await stream.sink.end();
        return {
          ...response,
          options: withOption(response.options, blockOption(OptionNumber.BLOCK1, block)),
        };
      }
    } catch (error) {
      this.#leave(stream, error instanceof Error ? error : new Error(String(error)));
      this.#end(key, stream);
      throw error;
    } finally {
      stream.busy = false;
    }
    // The first answer may ask for smaller blocks from then on (RFC 7959 §2.3).
    const wanted = Math.min(block.sizeExponent, this.#layer.capacity().largestBlock);
    const answer = block.number === 0 ? { ...block, sizeExponent: wanted } : block;
    const options = [blockOption(OptionNumber.BLOCK1, answer)];
    return { code: Code.CONTINUE, options, payload: EMPTY_BYTES };
  }

  /** The sink is told no more. */
  #end(key: string, stream: Stream): void {
    stream.ended = true;
    if (this.#streams.get(key) === stream) this.#streams.delete(key);
  }

  #abort(key: string, why: string): void {
    const stream = this.#streams.get(key);
    if (stream === undefined) return;
    this.#leave(stream, new CoapError('coap/aborted', why));
    this.#streams.delete(key);
  }

  #leave(stream: Stream, reason: Error): void {
    if (stream.ended) return;
    stream.ended = true;
    stream.sink.abort(reason);
  }
}
