// SPDX-License-Identifier: Apache-2.0
import { join, resolve } from 'node:path';
import type { Cli } from '../cli.ts';

export interface KeysOptions {
  readonly keys?: string;
}

/** The folder that `--keys` names, or the workspace's own. */
export function keysFolder(cli: Cli, options: KeysOptions): string {
  return options.keys === undefined ? join(cli.workspace.state, 'keys') : resolve(options.keys);
}
