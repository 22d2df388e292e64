// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** One wrong field of a request, as Pelion's error object names it. */
export interface FieldError {
  name: string;
  message: string;
}

/** The `type` of Pelion's error object with the status that goes with it. */
const kinds = {
  validation_error: 400,
  invalid_auth: 401,
  access_denied: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  gone: 410,
  payload_too_large: 413,
  unsupported_media_type: 415,
  too_many_requests: 429,
  internal_server_error: 500,
  bad_gateway: 502,
  not_connected: 503,
  timeout: 504,
} as const;

export type HttpErrorType = keyof typeof kinds;

export function statusOfType(type: HttpErrorType): number {
  return kinds[type];
}

/** A refusal that the caller is to see: answered as Pelion's error object (v3) or as its message (v2). */
export class HttpError extends MblError {
  readonly status: number;
  readonly type: HttpErrorType;
  readonly fields: readonly FieldError[];

  constructor(type: HttpErrorType, message: string, fields: readonly FieldError[] = [], cause?: unknown) {
    super(`service/${type.replaceAll('_', '-')}`, message, { cause });
    this.status = kinds[type];
    this.type = type;
    this.fields = fields;
  }
}

export function invalid(fields: readonly FieldError[], cause?: unknown): HttpError {
  return new HttpError('validation_error', 'The request is not valid', fields, cause);
}

/** The nearest kind to a status that something below us chose. */
export function typeOfStatus(status: number): HttpErrorType {
  const found = Object.entries(kinds).find(([, value]) => value === status);
  if (found !== undefined) return found[0] as HttpErrorType;
  return status < 500 ? 'validation_error' : 'internal_server_error';
}
