// SPDX-License-Identifier: Apache-2.0
import { BERT, type Block, blockSize } from '../message/block.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { withoutOptions } from '../message/option-values.ts';
import type { CoapRequest } from '../peer.ts';

/** Whether a payload of so many bytes may stand in that block (RFC 7959 §2.2; RFC 8323 §6 for BERT, which needs a reliable transport). */
export function isWellFormed(block: Block, length: number, reliable: boolean): boolean {
  const size = blockSize(block.sizeExponent);
  if (block.sizeExponent !== BERT) return block.more ? length === size : length <= size;
  if (!reliable) return false;
  return !block.more || (length > 0 && length % size === 0);
}

/** What the messages of one transfer have in common: method and options but those of the transfer itself. */
export function requestKey(request: CoapRequest): string {
  const { OBSERVE, ETAG, BLOCK1, BLOCK2, SIZE1, SIZE2 } = OptionNumber;
  const parts = withoutOptions(request.options, OBSERVE, ETAG, BLOCK1, BLOCK2, SIZE1, SIZE2).map(
    ({ number, value }) => `${number}=${Buffer.from(value).toString('hex')}`,
  );
  return `${request.code} ${parts.join('&')}`;
}
