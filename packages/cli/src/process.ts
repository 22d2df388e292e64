// SPDX-License-Identifier: Apache-2.0
import { type Cli, exitCodes } from './cli.ts';
import { Output } from './output.ts';
import type { Workspace } from './workspace.ts';

/** What a verb is given in a process of its own: its output is the process's, its signal follows Ctrl-C and SIGTERM. */
export function processCli(workspace: Workspace): Cli {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // The first asks for a clean stop; the second does not wait for it.
      if (abort.signal.aborted)
        process.exit(name === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated);
      abort.abort(name);
    });
  }
  // A reader that went away (`mbl ... | head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const output = new Output({ stdout: process.stdout, stderr: process.stderr, environment: process.env });
  return { output, workspace, signal: abort.signal, environment: process.env };
}
