// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';

/** What a payload may hold at most. */
export const limits = {
  bytes: 1 << 20,
  nodes: 16_384,
  links: 8_192,
  attributesPerLink: 64,
} as const;

/** Throws `lwm2m/payload-too-large` (4.13). */
export function checkSize(payload: Uint8Array): void {
  if (payload.length > limits.bytes) throw tooLarge(`${payload.length} bytes`, `${limits.bytes} bytes`);
}

/** Throws `lwm2m/payload-too-large` (4.13). */
export function checkNodeCount(count: number): void {
  if (count > limits.nodes) throw tooLarge(`${count} values`, `${limits.nodes} values`);
}

function tooLarge(found: string, limit: string): Lwm2mError {
  return new Lwm2mError('lwm2m/payload-too-large', `the payload has ${found}; the limit is ${limit}`, {
    status: Code.REQUEST_ENTITY_TOO_LARGE,
  });
}

export function malformed(format: string, detail: string, cause?: unknown): Lwm2mError {
  return new Lwm2mError('lwm2m/payload-invalid', `not valid ${format}: ${detail}`, {
    status: Code.BAD_REQUEST,
    cause,
  });
}

/** Throws `lwm2m/payload-invalid` (4.00). */
export function decodeUtf8(payload: Uint8Array, format: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload);
  } catch (cause) {
    throw malformed(format, 'the text is not UTF-8', cause);
  }
}
