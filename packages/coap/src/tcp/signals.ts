// SPDX-License-Identifier: Apache-2.0
import { Code } from '../codes.ts';
import type { CoapError } from '../errors.ts';
import { type CoapMessage, EMPTY_BYTES } from '../message/message.ts';
import { emptyOption, findOption, stringValues, uintOption, uintValue } from '../message/option-values.ts';
import { isCritical } from '../message/option-registry.ts';
import type { CoapOption } from '../options.ts';

/** Option numbers of signals; each signal has its own numbers (RFC 8323 §5.1). */
export const SignalOption = {
  MAX_MESSAGE_SIZE: 2,
  BLOCK_WISE_TRANSFER: 4,
  CUSTODY: 2,
  ALTERNATIVE_ADDRESS: 2,
  HOLD_OFF: 4,
  BAD_CSM_OPTION: 2,
} as const;

/** What holds until the peer's CSM says otherwise (RFC 8323 §5.3.1). */
export const BASE_MESSAGE_SIZE = 1152;

export interface Capabilities {
  maxMessageSize: number;
  blockwise: boolean;
}

function signal(code: number, options: CoapOption[] = [], payload = EMPTY_BYTES): CoapMessage {
  return { code, token: EMPTY_BYTES, options, payload };
}

/** Capabilities and Settings Message (RFC 8323 §5.3). */
export function csmMessage(maxMessageSize: number): CoapMessage {
  return signal(Code.CSM, [
    uintOption(SignalOption.MAX_MESSAGE_SIZE, maxMessageSize),
    emptyOption(SignalOption.BLOCK_WISE_TRANSFER),
  ]);
}

/** What a CSM changes; capabilities it does not name stay (RFC 8323 §5.3). Throws `coap/bad-option`. */
export function readCsm(message: CoapMessage, known: Capabilities): Capabilities {
  const { MAX_MESSAGE_SIZE, BLOCK_WISE_TRANSFER } = SignalOption;
  return {
    maxMessageSize: uintValue(message.options, MAX_MESSAGE_SIZE) ?? known.maxMessageSize,
    blockwise: known.blockwise || findOption(message.options, BLOCK_WISE_TRANSFER) !== undefined,
  };
}

export function pingMessage(token: Uint8Array): CoapMessage {
  return { ...signal(Code.PING), token };
}

/**
 * Answers with the ping's token (RFC 8323 §5.4). Custody is not promised: it would mean that all earlier requests
 * are answered.
 */
export function pongMessage(ping: CoapMessage): CoapMessage {
  return { ...signal(Code.PONG), token: ping.token };
}

export function releaseMessage(): CoapMessage {
  return signal(Code.RELEASE);
}

/** What a Release says of where and when to come back (RFC 8323 §5.5). Throws `coap/bad-option`. */
export function readRelease(message: CoapMessage): Record<string, unknown> {
  const holdOffSeconds = uintValue(message.options, SignalOption.HOLD_OFF);
  const alternativeAddresses = stringValues(message.options, SignalOption.ALTERNATIVE_ADDRESS);
  return {
    ...(holdOffSeconds === undefined ? {} : { holdOffSeconds }),
    ...(alternativeAddresses.length === 0 ? {} : { alternativeAddresses }),
  };
}

/** Abort with its diagnostic (RFC 8323 §5.6). */
export function abortMessage(error: CoapError): CoapMessage {
  const badOption = error.details?.['badCsmOption'];
  const options = typeof badOption === 'number' ? [uintOption(SignalOption.BAD_CSM_OPTION, badOption)] : [];
  return signal(Code.ABORT, options, new TextEncoder().encode(error.message));
}

/** No signal defined so far has a critical option: every one of them is unknown (RFC 8323 §5.1). */
export function unknownCriticalOption(message: CoapMessage): number | undefined {
  return message.options.find((option) => isCritical(option.number))?.number;
}
