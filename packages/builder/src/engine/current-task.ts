// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage } from 'node:async_hooks';

/** What commands that a task starts need to know of it. */
export interface CurrentTask {
  /** Stands in the environment of every command as MBL_TASK, so that commands of a killed build are found and ended. */
  readonly mark: string;
  readonly signal: AbortSignal;
  log(line: string): void;
}

/** The task whose `run` is on the call stack. */
export const currentTask = new AsyncLocalStorage<CurrentTask>();
