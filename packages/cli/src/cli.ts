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

/** What a verb returns: nothing for success, or the exit code. */
export type Outcome = Promise<number | void>;
