// SPDX-License-Identifier: Apache-2.0
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { findWorkspace } from './workspace.ts';

const workspace = findWorkspace();
enableCompileCache(join(workspace.root, 'node_modules/.cache/mbl'));

const { Output } = await import('./output.ts');
const { exitCodes } = await import('./exit-codes.ts');
const { runProgram } = await import('./program.ts');

const abort = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The first asks for a clean stop; the second does not wait for it.
    if (abort.signal.aborted) process.exit(name === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated);
    abort.abort(name);
  });
}
// A reader that went away (`mbl ... | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const output = new Output({ stdout: process.stdout, stderr: process.stderr, environment: process.env });
process.exitCode = await runProgram(
  { output, workspace, signal: abort.signal, environment: process.env },
  process.argv.slice(2),
);
