// SPDX-License-Identifier: Apache-2.0

export interface Lwm2mErrorOptions {
  /** The CoAP response code (class << 5 | detail) that this error answers with, or that the peer answered. */
  status?: number;
  remedy?: string;
  cause?: unknown;
  details?: Record<string, unknown>;
}

/**
 * The only error this package throws on purpose. `code` is stable (`lwm2m/what`); `status` is the CoAP response code
 * that belongs to it: thrown from an object's `write` it becomes the answer, thrown by an operation it is the answer.
 */
export class Lwm2mError extends Error {
  override readonly name = 'Lwm2mError';
  readonly code: string;
  readonly status: number | undefined;
  readonly remedy: string | undefined;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: string, message: string, options: Lwm2mErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.remedy = options.remedy;
    this.details = options.details;
  }
}
