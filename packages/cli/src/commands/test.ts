// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { flag, rest, verb } from '../verb.ts';

/**
 * Becomes the repository's own test runner: the same process, so that Ctrl-C, pipes and the exit code need no go-between. A test of
 * this package never calls it.
 */
export const test = verb({
  name: 'test',
  description: 'check the sources and run the tests; long stories take turns',
  json: false,
  arguments: { what: rest('all, unit, system, or test files') },
  options: { verbose: flag('name every test, not only those that fail') },
  async run({ workspace, environment }, { what, verbose }) {
    const args = [...(verbose ? ['--verbose'] : []), '--', ...what];
    process.execve?.(
      process.execPath,
      [process.execPath, join(workspace.root, 'tools/test.ts'), ...args],
      environment,
    );
  },
});
