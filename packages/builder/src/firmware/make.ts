// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { currentTools } from '../engine/current-tools.ts';
import { runCommand } from '../engine/run-command.ts';

/** Runs make in `cwd`; what it prints goes to the task's log. Throws what `runCommand` throws. */
export async function make(cwd: string, args: readonly string[]): Promise<void> {
  const env = { KBUILD_BUILD_USER: 'mbl', KBUILD_BUILD_HOST: 'mbl' };
  await runCommand('make', [`-j${availableParallelism()}`, ...args], { cwd, env });
}

/** Settings for make with which the toolbox's native compiler makes programs that run here, by its own libraries. */
export function hostCompiler(): string[] {
  const environment = currentTools.getStore()?.environment ?? {};
  return ['HOSTCC', 'HOSTLDFLAGS'].flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [`${name}=${value}`];
  });
}

/** Compiler flags that keep the paths of a build out of its output. */
export function prefixMap(folder: string): string {
  return `-ffile-prefix-map=${folder}=.`;
}
