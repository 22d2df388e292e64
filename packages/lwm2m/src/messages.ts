// SPDX-License-Identifier: Apache-2.0
import type { CoapRequest, CoapResponse } from '@mbl/coap';
import {
  acceptOption,
  contentFormatOption,
  locationPathOptions,
  uriPathOptions,
  uriQueryOptions,
} from '@mbl/coap';
import { Lwm2mError } from './errors.ts';

const empty = new Uint8Array();

/** A request or response by its parts; what CoAP carries as options is spelt out. */
export interface MessageParts {
  path?: readonly string[];
  query?: readonly string[];
  location?: readonly string[];
  contentFormat?: number | undefined;
  accept?: number | undefined;
  payload?: Uint8Array | undefined;
}

/** In ascending order of option numbers. */
export function message(code: number, parts: MessageParts = {}): CoapRequest & CoapResponse {
  const options = [
    ...locationPathOptions(parts.location ?? []),
    ...uriPathOptions(parts.path ?? []),
    ...(parts.contentFormat === undefined ? [] : [contentFormatOption(parts.contentFormat)]),
    ...uriQueryOptions(parts.query ?? []),
    ...(parts.accept === undefined ? [] : [acceptOption(parts.accept)]),
  ];
  return { code, options, payload: parts.payload ?? empty };
}

/** `['ep=a', 'Q']` as a map; a repeated name keeps its first value. */
export function queryMap(query: readonly string[]): Map<string, string | undefined> {
  const parameters = new Map<string, string | undefined>();
  for (const argument of query) {
    const equals = argument.indexOf('=');
    const name = equals === -1 ? argument : argument.slice(0, equals);
    if (!parameters.has(name)) parameters.set(name, equals === -1 ? undefined : argument.slice(equals + 1));
  }
  return parameters;
}

/**
 * The answer to a request that failed for a reason meant for the peer, with a diagnostic payload (RFC 7252 §5.5.2).
 * Any other error is thrown again: the CoAP peer answers it with 5.00 and reports it.
 */
export function errorResponse(error: unknown): CoapResponse {
  if (!(error instanceof Lwm2mError) || error.status === undefined) throw error;
  return message(error.status, { payload: new TextEncoder().encode(error.message) });
}
