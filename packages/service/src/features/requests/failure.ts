// SPDX-License-Identifier: Apache-2.0
import { CoapError, formatCode } from '@mbl/coap';
import { Lwm2mError } from '@mbl/lwm2m';
import { HttpError, type HttpErrorType } from '../../infra/http/errors.ts';

/** Why a request to a device has no answer from it, in Pelion's words, or what the device answered instead. */
export class RequestFailure extends Error {
  /** As the async response carries it. */
  readonly status: number;
  readonly error: string;
  /** Whether the same request may fare better later. */
  readonly transient: boolean;

  constructor(status: number, error: string, message: string, transient = false, cause?: unknown) {
    super(message, { cause });
    this.status = status;
    this.error = error;
    this.transient = transient;
  }
}

export const notConnected = (cause?: unknown): RequestFailure =>
  new RequestFailure(503, 'NOT_CONNECTED', 'The device is not connected', true, cause);
export const timedOut = (cause?: unknown): RequestFailure =>
  new RequestFailure(504, 'TIMEOUT', 'The device did not answer in time', true, cause);
export const expired = (): RequestFailure =>
  new RequestFailure(429, 'REQUEST_EXPIRED', 'The request waited too long for the device');
export const deregistered = (): RequestFailure =>
  new RequestFailure(429, 'DEVICE_REMOVED_REGISTRATION', 'The device deregistered');
export const blocked = (reason: string): RequestFailure => new RequestFailure(429, 'DEVICE_BLOCKED', reason);
export const clientGone = (): RequestFailure =>
  new RequestFailure(503, 'CLIENT_GONE', 'Whoever waited for the answer has hung up');

/** Puts whatever a request threw into the words above; errors of our own making pass through. */
export function toFailure(error: unknown): unknown {
  if (error instanceof RequestFailure) return error;
  if (error instanceof CoapError) {
    if (error.code === 'coap/timeout' || error.code === 'coap/aborted') return timedOut(error);
    if (error.code === 'coap/body-too-large' || error.code === 'coap/message-too-large') {
      return new RequestFailure(413, 'PAYLOAD_TOO_LARGE', error.message, false, error);
    }
    if (error.code === 'coap/bad-argument' || error.code === 'coap/bad-option') {
      return new RequestFailure(400, 'MALFORMED_REQUEST', error.message, false, error);
    }
    return notConnected(error);
  }
  if (error instanceof Lwm2mError) {
    // Without a status it is the device's payload that could not be read.
    if (error.status === undefined)
      return new RequestFailure(502, 'BAD_RESPONSE', error.message, false, error);
    return new RequestFailure(statusOf(error.status), formatCode(error.status), error.message, false, error);
  }
  return error;
}

/** A CoAP response code as the HTTP status that Pelion reports for it. */
export function statusOf(code: number): number {
  const [kind, detail] = [code >> 5, code & 31];
  if (kind === 2) return 200;
  if (kind === 4) return detail === 6 ? 415 : 400 + detail;
  return detail === 3 ? 503 : detail === 4 ? 504 : 502;
}

const types: Readonly<Record<number, HttpErrorType>> = {
  401: 'access_denied',
  403: 'access_denied',
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  429: 'too_many_requests',
  502: 'bad_gateway',
  503: 'not_connected',
  504: 'timeout',
};

/** The device's own 5.03 and 5.04 are its answer: it is connected, and it did answer in time. */
function typeOf({ status, cause }: RequestFailure): HttpErrorType {
  const answered = cause instanceof Lwm2mError;
  return (
    (answered && status > 502 ? undefined : types[status]) ??
    (status < 500 ? 'validation_error' : 'bad_gateway')
  );
}

/** A failure as the answer to a caller who waits for it. */
export function toHttpError(error: unknown): unknown {
  const failure = toFailure(error);
  if (!(failure instanceof RequestFailure)) return failure;
  const type = typeOf(failure);
  return new HttpError(type, failure.message, [], failure);
}
