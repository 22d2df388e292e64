// SPDX-License-Identifier: Apache-2.0
import type { Cli } from '../cli.ts';
import { Output } from '../output.ts';
import { findWorkspace, type Workspace } from '../workspace.ts';

/** A `Cli` whose output is kept, for tests. */
export function testCli(options: { workspace?: Partial<Workspace>; signal?: AbortSignal } = {}): {
  cli: Cli;
  stdout: () => string;
  stderr: () => string;
} {
  let out = '';
  let err = '';
  const output = new Output({
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  const workspace = { ...findWorkspace({ HOME: '/nonexistent' }), ...options.workspace };
  const cli: Cli = {
    output,
    workspace,
    signal: options.signal ?? new AbortController().signal,
    environment: {},
  };
  return { cli, stdout: () => out, stderr: () => err };
}
