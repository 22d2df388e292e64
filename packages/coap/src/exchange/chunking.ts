// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import { BERT, blockSize } from '../message/block.ts';
import { EMPTY_BYTES } from '../message/message.ts';
import { bodySize } from '../message/option-codec.ts';
import type { CoapOptions } from '../options.ts';
import type { Capacity } from './message-layer.ts';

/** Header, token, payload marker and the options that a transfer adds: Block1, Block2, Size1, ETag, Observe. */
const RESERVE = 48;

export interface Chunk {
  sizeExponent: number;
  /** Payload bytes of a message that is not the last. */
  bytes: number;
}

/** Whether a body goes in one message. */
export function fitsWhole(capacity: Capacity, options: CoapOptions, payload: Uint8Array): boolean {
  return (
    payload.length <= capacity.maxWholePayload &&
    bodySize(options, payload) + RESERVE <= capacity.maxMessageSize
  );
}

/**
 * The block for a message with these options: as large as the peer takes, not larger than `wanted`.
 * Throws `coap/body-too-large` when no block fits or the peer takes none.
 */
export function chunkFor(capacity: Capacity, options: CoapOptions, wanted = BERT): Chunk {
  const room = capacity.maxMessageSize - bodySize(options, EMPTY_BYTES) - RESERVE;
  let sizeExponent = Math.min(wanted, capacity.largestBlock);
  if (capacity.blockwise && sizeExponent === BERT && room >= 1024) {
    return { sizeExponent: BERT, bytes: room - (room % 1024) };
  }
  sizeExponent = Math.min(sizeExponent, 6);
  while (sizeExponent >= 0 && blockSize(sizeExponent) > room) sizeExponent -= 1;
  if (!capacity.blockwise || sizeExponent < 0) {
    throw new CoapError(
      'coap/body-too-large',
      `the body does not fit the ${capacity.maxMessageSize} bytes of a message that the peer takes` +
        (capacity.blockwise ? '' : ', and it takes no blocks'),
    );
  }
  return { sizeExponent, bytes: blockSize(sizeExponent) };
}
