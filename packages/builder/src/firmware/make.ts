// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { runCommand } from '../engine/run-command.ts';

/**
 * The search path of compilers and their scripts: Debian's programs only, so that nothing a developer installed for himself (another
 * Python, say) gets into firmware.
 */
export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs make in `cwd`; what it prints goes to the task's log. Throws what `runCommand` throws. */
export async function make(cwd: string, args: readonly string[]): Promise<void> {
  const env = { PATH: systemPath, KBUILD_BUILD_USER: 'mbl', KBUILD_BUILD_HOST: 'mbl' };
  await runCommand('make', [`-j${availableParallelism()}`, ...args], { cwd, env });
}

/** Compiler flags that keep the paths of a build out of its output. */
export function prefixMap(folder: string): string {
  return `-ffile-prefix-map=${folder}=.`;
}
