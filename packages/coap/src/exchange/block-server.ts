// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { Code } from '../codes.ts';
import { BERT, type Block, blockOffset, blockOption, blockSize, blockValue } from '../message/block.ts';
import { EMPTY_BYTES } from '../message/message.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { etagOption, findOption, uintOption, withOption, withoutOptions } from '../message/option-values.ts';
import type { CoapRequest, CoapResponse } from '../peer.ts';
import { chunkFor, fitsWhole } from './chunking.ts';
import { ExpiringMap } from './expiring-map.ts';
import { isWellFormed, requestKey } from './incoming-block.ts';
import type { CoapLimits } from './limits.ts';
import type { MessageLayer } from './message-layer.ts';
import type { PeerSettings } from './peer-options.ts';
import { UploadBudget } from './upload-budget.ts';

/** How long an unfinished transfer waits for its next block: EXCHANGE_LIFETIME (RFC 7252 §4.8.2). */
export const TRANSFER_LIFETIME_MS = 247_000;

/** What an incoming message means for the request it belongs to. */
export type Assembled =
  /** The body is whole. `echo` goes with the response (RFC 7959 §2.3). */
  { request: CoapRequest; echo?: Block } | { response: CoapResponse };

/** A body as far as it has come: the first `length` of `bytes`, which has room for more. */
interface Upload {
  bytes: Uint8Array;
  length: number;
}

/** Puts request bodies together and cuts response bodies to blocks, for one peer (RFC 7959). */
export class BlockServer {
  readonly #layer: MessageLayer;
  readonly #limits: CoapLimits;
  readonly #uploads: ExpiringMap<Upload>;
  /** The peer's own, and the one that it shares with others. */
  readonly #budgets: readonly UploadBudget[];
  readonly #bodies: ExpiringMap<CoapResponse>;

  constructor(layer: MessageLayer, { limits, uploads, clock }: PeerSettings) {
    this.#layer = layer;
    this.#limits = limits;
    this.#budgets = [new UploadBudget(limits.maxUploadBytes), ...(uploads === undefined ? [] : [uploads])];
    this.#uploads = new ExpiringMap<Upload>(clock, TRANSFER_LIFETIME_MS, limits.maxTransfers, (upload) => {
      for (const budget of this.#budgets) budget.release(upload);
    });
    this.#bodies = new ExpiringMap(clock, TRANSFER_LIFETIME_MS, limits.maxTransfers);
  }

  clear(): void {
    this.#uploads.clear();
    this.#bodies.clear();
  }

  /** Takes one request message; the body is whole, or the peer is told to go on or why not. */
  assemble(request: CoapRequest): Assembled {
    const block = blockValue(request.options, OptionNumber.BLOCK1);
    const { length } = request.payload;
    if (block === undefined) {
      const { maxBodySize } = this.#limits;
      return length > maxBodySize ? { response: tooLarge(maxBodySize) } : { request };
    }
    if (!isWellFormed(block, length, this.#layer.reliable)) return { response: plain(Code.BAD_REQUEST) };
    const key = requestKey(request);
    const upload = block.number === 0 ? { bytes: EMPTY_BYTES, length: 0 } : this.#uploads.get(key);
    if (upload === undefined || upload.length !== blockOffset(block)) {
      return { response: plain(Code.REQUEST_ENTITY_INCOMPLETE) };
    }
    const largest = Math.min(this.#limits.maxBodySize, this.#limits.maxUploadBytes);
    if (upload.length + length > largest) {
      this.#uploads.delete(key);
      return { response: tooLarge(largest) };
    }
    append(upload, request.payload, largest);
    if (block.more) {
      this.#keep(key, upload);
      // The first answer may ask for smaller blocks from then on (RFC 7959 §2.3).
      const wanted = Math.min(block.sizeExponent, this.#layer.capacity().largestBlock);
      const answer = block.number === 0 ? { ...block, sizeExponent: wanted } : block;
      const options = [blockOption(OptionNumber.BLOCK1, answer)];
      return { response: { code: Code.CONTINUE, options, payload: EMPTY_BYTES } };
    }
    this.#uploads.delete(key);
    const { BLOCK1, SIZE1 } = OptionNumber;
    const options = withoutOptions(request.options, BLOCK1, SIZE1);
    return {
      request: { code: request.code, options, payload: upload.bytes.subarray(0, upload.length) },
      echo: block,
    };
  }

  /**
   * The block of a body that was cut before; undefined when the request asks for no later block, or nothing is
   * kept and the handler is to give the body again.
   */
  later(request: CoapRequest): CoapResponse | undefined {
    const block = blockValue(request.options, OptionNumber.BLOCK2);
    if (block === undefined || block.number === 0) return undefined;
    const key = bodyKey(request);
    const body = this.#bodies.get(key);
    if (body !== undefined) {
      const response = this.#cut(body, block, 0);
      if (blockValue(response.options, OptionNumber.BLOCK2)?.more !== true) this.#bodies.delete(key);
      return response;
    }
    // Asking the handler again is for safe methods only.
    const safe = request.code === Code.GET || request.code === Code.FETCH;
    return safe ? undefined : plain(Code.REQUEST_ENTITY_INCOMPLETE);
  }

  /** The response as one message: itself, or the block that was asked for, with the rest kept for later. */
  fit(request: CoapRequest, response: CoapResponse): CoapResponse {
    const asked = blockValue(request.options, OptionNumber.BLOCK2);
    if (asked?.sizeExponent === BERT && !this.#layer.reliable) return plain(Code.BAD_REQUEST);
    const whole = fitsWhole(this.#layer.capacity(), response.options, response.payload);
    const wanted = asked?.sizeExponent ?? BERT;
    if (whole && (asked === undefined || wanted === BERT) && (asked?.number ?? 0) === 0) return response;
    if (asked !== undefined && response.payload.length <= blockSize(wanted) && asked.number === 0) {
      return response;
    }
    const tagged =
      findOption(response.options, OptionNumber.ETAG) === undefined
        ? { ...response, options: withOption(response.options, etagOption(digest(response.payload))) }
        : response;
    const first = asked ?? { number: 0, more: false, sizeExponent: BERT };
    const block = this.#cut(tagged, first, response.payload.length);
    if (blockValue(block.options, OptionNumber.BLOCK2)?.more === true) {
      // A later block is no notification (RFC 7959 §2.6).
      const kept = { ...tagged, options: withoutOptions(tagged.options, OptionNumber.OBSERVE) };
      this.#bodies.set(requestKey(request), kept);
      if (request.payload.length > 0) this.#bodies.set(bodyKey(request), kept);
    }
    return block;
  }

  /** One block; `size` over 0 also tells the whole size in the first (RFC 7959 §4). */
  #cut(body: CoapResponse, asked: Block, size: number): CoapResponse {
    const chunk = chunkFor(this.#layer.capacity(), body.options, asked.sizeExponent);
    const offset = blockOffset(asked);
    if (offset >= Math.max(body.payload.length, 1)) return plain(Code.BAD_REQUEST);
    const end = Math.min(offset + chunk.bytes, body.payload.length);
    const block: Block = {
      number: offset / blockSize(chunk.sizeExponent),
      more: end < body.payload.length,
      sizeExponent: chunk.sizeExponent,
    };
    const options = withOption(body.options, blockOption(OptionNumber.BLOCK2, block));
    return {
      code: body.code,
      options: offset === 0 && size > 0 ? withOption(options, uintOption(OptionNumber.SIZE2, size)) : options,
      payload: body.payload.subarray(offset, end),
    };
  }

  #keep(key: string, upload: Upload): void {
    this.#uploads.set(key, upload);
    for (const budget of this.#budgets) {
      // One that has given way meanwhile holds nothing.
      if (this.#uploads.get(key) !== upload) return;
      budget.hold(upload, upload.bytes.length, () => this.#uploads.delete(key));
    }
  }
}

/** Appends to one buffer that doubles: many small blocks cost no more than their bytes. */
function append(upload: Upload, payload: Uint8Array, largest: number): void {
  const length = upload.length + payload.length;
  if (length > upload.bytes.length) {
    const grown = new Uint8Array(Math.min(Math.max(length, 2 * upload.bytes.length), largest));
    grown.set(upload.bytes.subarray(0, upload.length));
    upload.bytes = grown;
  }
  upload.bytes.set(payload, upload.length);
  upload.length = length;
}

function tooLarge(limit: number): CoapResponse {
  const options = [uintOption(OptionNumber.SIZE1, limit)];
  return { code: Code.REQUEST_ENTITY_TOO_LARGE, options, payload: EMPTY_BYTES };
}

/** A response that is only a code, with a diagnostic payload (RFC 7252 §5.5.2). */
export function plain(code: number, diagnostic = ''): CoapResponse {
  return { code, options: [], payload: new TextEncoder().encode(diagnostic) };
}

/** As `requestKey`, and the request's body where there is one: FETCH may repeat it with each block. */
function bodyKey(request: CoapRequest): string {
  const { payload } = request;
  return payload.length === 0
    ? requestKey(request)
    : `${requestKey(request)} ${Buffer.from(digest(payload)).toString('hex')}`;
}

function digest(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest().subarray(0, 8));
}
