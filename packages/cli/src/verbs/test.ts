// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Cli, Outcome } from '../cli.ts';

export interface TestOptions {
  readonly verbose?: boolean;
}

/**
 * Becomes the repository's own test runner: the same process, so that Ctrl-C, pipes and the exit code need no go-between. A test of
 * this package never calls it.
 */
export async function test(
  { workspace, environment }: Cli,
  options: TestOptions,
  words: readonly string[],
): Outcome {
  const args = [...(options.verbose === true ? ['--verbose'] : []), '--', ...words];
  process.execve?.(
    process.execPath,
    [process.execPath, join(workspace.root, 'tools/test.ts'), ...args],
    environment,
  );
}
