// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage } from 'node:async_hooks';

/** Programs as commands find them. */
export interface ToolEnvironment {
  /** Folders of programs, absolute; nothing else is on the search path. */
  readonly path: readonly string[];
  /** Variables that the programs need beside PATH. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The programs that commands on this call stack find. Without: those of this process's own search path. */
export const currentTools = new AsyncLocalStorage<ToolEnvironment>();

/** Several as one; what stands first is found first. */
export function joinTools(all: readonly ToolEnvironment[]): ToolEnvironment {
  return {
    path: all.flatMap(({ path }) => path),
    environment: Object.assign({}, ...all.map(({ environment }) => environment)) as Record<string, string>,
  };
}
