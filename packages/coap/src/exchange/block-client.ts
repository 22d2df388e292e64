// SPDX-License-Identifier: Apache-2.0
import { Code, isSuccessCode } from '../codes.ts';
import { CoapError } from '../errors.ts';
import { BERT, type Block, blockOffset, blockOption, blockSize, blockValue } from '../message/block.ts';
import { concatBytes, EMPTY_BYTES } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { etag, uintOption, withOption, withoutOptions } from '../message/option-values.ts';
import type { CoapRequest, CoapResponse } from '../peer.ts';
import type { Deadline } from '../runtime/deadline.ts';
import { chunkFor, fitsWhole } from './chunking.ts';
import type { CoapLimits } from './limits.ts';
import type { MessageLayer } from './message-layer.ts';
import type { Requester } from './requester.ts';

/** How often a body is fetched anew when it changed between two blocks. */
const ATTEMPTS = 3;

/** How much of a body over the limit is fetched to its end and dropped, as a multiple of the limit. */
const DRAIN_FACTOR = 16;

/** Requests and responses of any size, as the requester sees it (RFC 7959 §2.7). */
export class BlockClient {
  readonly #requester: Requester;
  readonly #layer: MessageLayer;
  readonly #limits: CoapLimits;

  constructor(requester: Requester, layer: MessageLayer, limits: CoapLimits) {
    this.#requester = requester;
    this.#layer = layer;
    this.#limits = limits;
  }

  /**
   * Sends the body in as many messages as it takes and gives the whole response. A request that has
   * Block1, or Block2 with a number over 0, is the caller's own transfer: one message each way.
   * `renewing`: each block has the whole time of the deadline.
   */
  async request(request: CoapRequest, deadline: Deadline, renewing = true): Promise<CoapResponse> {
    const manual =
      blockValue(request.options, OptionNumber.BLOCK1) !== undefined ||
      (blockValue(request.options, OptionNumber.BLOCK2)?.number ?? 0) > 0;
    if (manual) return this.#requester.exchange(request, deadline);
    for (let attempt = 1; ; attempt++) {
      const first = await this.#upload(request, deadline, renewing);
      try {
        return await this.download(request, first, deadline, renewing);
      } catch (error) {
        const changed = error instanceof CoapError && error.code === 'coap/body-changed';
        const safe = request.code === Code.GET || request.code === Code.FETCH;
        if (!changed || !safe || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /**
   * Fetches what the first response did not hold (RFC 7959 §2.4). CoAP has no word to call a transfer off, and there are peers that answer
   * nothing else until theirs is over: of a body that is too large the rest is fetched too, up to a bound, and dropped.
   */
  async download(
    request: CoapRequest,
    first: CoapResponse,
    deadline: Deadline,
    renewing = true,
  ): Promise<CoapResponse> {
    let block = blockValue(first.options, OptionNumber.BLOCK2);
    if (block === undefined) return whole(first, first.payload);
    let parts = [first.payload];
    let received = first.payload.length;
    checkBlock(block, first, 0);
    const { maxBodySize } = this.#limits;
    const again = continuation(request, fitsWhole(this.#layer.capacity(), request.options, request.payload));
    try {
      while (block.more) {
        // What is dropped has the time of one block.
        if (received > maxBodySize) parts = [];
        else if (renewing) deadline.renew();
        if (received > maxBodySize * DRAIN_FACTOR) break;
        // Smaller than offered, when this end wants that (RFC 7959 §2.4).
        const sizeExponent = Math.min(block.sizeExponent, this.#layer.capacity().largestBlock);
        if (received % blockSize(sizeExponent) !== 0) throw misplaced(block, first, received);
        const next: Block = { number: received / blockSize(sizeExponent), more: false, sizeExponent };
        const response = await this.#requester.exchange(
          { ...again, options: withOption(again.options, blockOption(OptionNumber.BLOCK2, next)) },
          deadline,
        );
        if (!isSuccessCode(response.code)) return whole(response, response.payload);
        block = blockValue(response.options, OptionNumber.BLOCK2);
        if (block === undefined || !sameTag(first, response)) {
          throw new CoapError('coap/body-changed', 'the body changed while its blocks were fetched');
        }
        checkBlock(block, response, received);
        parts.push(response.payload);
        received += response.payload.length;
      }
    } catch (error) {
      // Whatever ended the rest: the body was too large before.
      if (!(error instanceof CoapError) || received <= maxBodySize) throw error;
    }
    if (received > maxBodySize) throw this.#tooLarge();
    return whole(first, parts.length === 1 ? first.payload : concatBytes(parts, received));
  }

  async #upload(request: CoapRequest, deadline: Deadline, renewing: boolean): Promise<CoapResponse> {
    const { payload } = request;
    let wanted = BERT;
    if (fitsWhole(this.#layer.capacity(), request.options, payload)) {
      const response = await this.#requester.exchange(request, deadline);
      const smaller = tooLargeFor(response);
      if (smaller === undefined || blockSize(smaller) >= payload.length) return response;
      wanted = smaller;
    }
    let offset = 0;
    for (;;) {
      if (renewing) deadline.renew();
      const chunk = chunkFor(this.#layer.capacity(), request.options, wanted);
      const end = Math.min(offset + chunk.bytes, payload.length);
      const block: Block = {
        number: offset / blockSize(chunk.sizeExponent),
        more: end < payload.length,
        sizeExponent: chunk.sizeExponent,
      };
      let options = withOption(request.options, blockOption(OptionNumber.BLOCK1, block));
      if (offset === 0) options = withOption(options, uintOption(OptionNumber.SIZE1, payload.length));
      const response = await this.#requester.exchange(
        { code: request.code, options, payload: payload.subarray(offset, end) },
        deadline,
      );
      const smaller = tooLargeFor(response);
      if (offset === 0 && smaller !== undefined && blockSize(smaller) < blockSize(chunk.sizeExponent)) {
        wanted = smaller;
        continue;
      }
      if (!block.more || !isSuccessCode(response.code)) return response;
      const answer = blockValue(response.options, OptionNumber.BLOCK1);
      if (answer === undefined || answer.number !== block.number) {
        throw new CoapError('coap/bad-block', `the peer did not take block ${block.number} of the body`);
      }
      // A size smaller than offered holds from the next block on (RFC 7959 §2.3).
      wanted = Math.min(chunk.sizeExponent, answer.sizeExponent);
      offset = end;
    }
  }

  #tooLarge(): CoapError {
    const limit = this.#limits.maxBodySize;
    return new CoapError('coap/body-too-large', `the response is larger than ${limit} bytes`, {
      details: { limit },
    });
  }
}

/** The block size that a 4.13 proposes (RFC 7959 §2.9.3). */
function tooLargeFor(response: CoapResponse): number | undefined {
  if (response.code !== Code.REQUEST_ENTITY_TOO_LARGE) return undefined;
  return blockValue(response.options, OptionNumber.BLOCK1)?.sizeExponent;
}

/** The request for a later block: no observation (RFC 7959 §2.6), no body but that of FETCH, which selects. */
function continuation(request: CoapRequest, payloadFits: boolean): CoapRequest {
  const { OBSERVE, BLOCK1, BLOCK2, SIZE1 } = OptionNumber;
  return {
    code: request.code,
    options: withoutOptions(request.options, OBSERVE, BLOCK1, BLOCK2, SIZE1),
    payload: request.code === Code.FETCH && payloadFits ? request.payload : EMPTY_BYTES,
  };
}

function checkBlock(block: Block, response: CoapResponse, expectedOffset: number): void {
  const { length } = response.payload;
  const size = blockSize(block.sizeExponent);
  const full = block.sizeExponent === BERT ? length > 0 && length % size === 0 : length === size;
  if (blockOffset(block) !== expectedOffset || (block.more && !full)) {
    throw misplaced(block, response, expectedOffset);
  }
}

function misplaced(block: Block, response: CoapResponse, offset: number): CoapError {
  const size = blockSize(block.sizeExponent);
  return new CoapError(
    'coap/bad-block',
    `the peer sent ${response.payload.length} bytes as block ${block.number} of size ${size} at byte ${offset}`,
  );
}

function sameTag(a: CoapResponse, b: CoapResponse): boolean {
  return Buffer.compare(etag(a.options) ?? EMPTY_BYTES, etag(b.options) ?? EMPTY_BYTES) === 0;
}

function whole(response: CoapResponse, payload: Uint8Array): CoapResponse {
  const { BLOCK1, BLOCK2 } = OptionNumber;
  return { code: response.code, options: withoutOptions(response.options, BLOCK1, BLOCK2), payload };
}
