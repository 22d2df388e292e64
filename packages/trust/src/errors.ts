// SPDX-License-Identifier: Apache-2.0

/** What an `MblError` may carry beside its code and message. */
export interface MblErrorOptions {
  /** One sentence for the operator: what to do, with the next command to type. */
  remedy?: string;
  cause?: unknown;
  /** Facts a program may want: file, line, path. */
  details?: Record<string, unknown>;
}

/** The error that every package above `trust` throws on purpose. `code` is stable: `area/what`. */
export class MblError extends Error {
  override readonly name = 'MblError';
  readonly code: string;
  readonly remedy: string | undefined;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: string, message: string, options: MblErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.details = options.details;
  }
}
