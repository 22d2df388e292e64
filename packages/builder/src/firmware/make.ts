// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { runCommand } from '../debian/command.ts';
import type { TaskContext } from '../task.ts';

/** Seconds since 1970 that stand in everything a build dates: 2025-01-01. Only a change of it, not the day of a build, changes an image. */
export const sourceDateEpoch = 1_735_689_600;

/** The surroundings of a compiler: nothing of the caller's, so that the same inputs give the same bytes. */
export const buildEnvironment: Readonly<NodeJS.ProcessEnv> = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
  SOURCE_DATE_EPOCH: String(sourceDateEpoch),
  KBUILD_BUILD_USER: 'mbl',
  KBUILD_BUILD_HOST: 'mbl',
};

/** Runs make in `cwd`; what it prints goes to the task's log. Throws `builder/command-failed`, `builder/missing-tool`. */
export async function make(context: TaskContext, cwd: string, args: readonly string[]): Promise<void> {
  const result = await runCommand('make', [`-j${availableParallelism()}`, ...args], {
    cwd,
    env: buildEnvironment,
    signal: context.signal,
    timeout: 3_600_000,
  });
  for (const line of `${result.stdout.toString()}${result.stderr}`.split('\n')) context.log(line);
}

/** Compiler flags that keep the paths of a build out of its output. */
export function prefixMap(folder: string): string {
  return `-ffile-prefix-map=${folder}=. -fdebug-prefix-map=${folder}=.`;
}
