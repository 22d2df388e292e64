// SPDX-License-Identifier: Apache-2.0
import { CoapError } from '../errors.ts';
import type { CoapOption, CoapOptions } from '../options.ts';
import { OptionNumber, optionName } from './option-registry.ts';
import { findOption, uintOption } from './option-values.ts';

/** Size exponent that means BERT: many blocks of 1024 bytes in one message (RFC 8323 §6). */
export const BERT = 7;

/** The value of Block1 or Block2 (RFC 7959 §2.2). */
export interface Block {
  /** Counted in units of the block size. */
  number: number;
  more: boolean;
  /** 0 to 6 for 16 to 1024 bytes, or `BERT`. */
  sizeExponent: number;
}

type BlockOptionNumber = typeof OptionNumber.BLOCK1 | typeof OptionNumber.BLOCK2;

/** Unit of `number` in bytes; a BERT message holds any count of them. */
export function blockSize(sizeExponent: number): number {
  return sizeExponent === BERT ? 1024 : 16 << sizeExponent;
}

export function blockOffset(block: Block): number {
  return block.number * blockSize(block.sizeExponent);
}

/** Throws `coap/body-too-large` when the body needs more than 2^20 blocks. */
export function blockOption(option: BlockOptionNumber, block: Block): CoapOption {
  if (block.number > 0xf_ffff) {
    throw new CoapError(
      'coap/body-too-large',
      `block ${block.number} has no number in ${optionName(option)}`,
    );
  }
  return uintOption(option, (block.number << 4) | (block.more ? 8 : 0) | block.sizeExponent);
}

/** Undefined when absent. Throws `coap/bad-option`. */
export function blockValue(options: CoapOptions, number: BlockOptionNumber): Block | undefined {
  const option = findOption(options, number);
  if (option === undefined) return undefined;
  if (option.value.length > 3) {
    throw new CoapError('coap/bad-option', `${optionName(number)} has more than 3 bytes`);
  }
  const value = option.value.reduce((sum, byte) => sum * 256 + byte, 0);
  return { number: value >> 4, more: (value & 8) !== 0, sizeExponent: value & 7 };
}
