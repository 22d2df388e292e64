// SPDX-License-Identifier: Apache-2.0
import type { Output } from './output.ts';
import type { Workspace } from './workspace.ts';

/** What every verb is given. */
export interface Cli {
  readonly output: Output;
  readonly workspace: Workspace;
  /** Aborts at Ctrl-C and at SIGTERM. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What `mbl` returns beside 0. */
export const exitCodes = { failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** What a verb returns: nothing for success, or the exit code. */
export type Outcome = Promise<number | void>;
