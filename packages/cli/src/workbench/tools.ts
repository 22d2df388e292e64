// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { openLockedToolbox, type ToolboxName } from '@mbl/builder';
import type { Cli } from '../cli.ts';

/** Where root keeps the tools when others could not pass to the cache: PostgreSQL does not run as root. */
const systemPlace = '/var/lib/mbl/toolbox';

/**
 * Puts the emulator, the database and what else boards and the service need on the search path of this process and of those that it
 * starts, before what the machine has: the locked versions, unpacked the first time. Doing it again costs nothing.
 */
export async function useTools(cli: Cli): Promise<void> {
  const path = await toolPath(cli, 'run');
  const before = (process.env['PATH'] ?? '').split(delimiter);
  process.env['PATH'] = [...path, ...before.filter((folder) => !path.includes(folder))].join(delimiter);
}

/** The folders of programs of a toolbox, which is unpacked when it is not there. */
export async function toolPath(
  { output, workspace, signal }: Cli,
  name: ToolboxName,
): Promise<readonly string[]> {
  const { root, cache } = workspace;
  const place = process.getuid?.() === 0 ? await placeForAll(join(cache, 'toolbox')) : undefined;
  const start = performance.now();
  const { path } = await output.progress.phase(
    name === 'run' ? 'unpack the emulator and the database' : `unpack the tools to ${name}`,
    async (report) =>
      await openLockedToolbox(join(root, 'os'), name, {
        cache,
        place,
        signal,
        progress: (fraction, what) => report(fraction, what),
      }),
    () => ({ quiet: performance.now() - start < 500 }),
  );
  return path;
}

/** The wanted folder when everybody may pass to it, or else one of the system's; it is made. */
async function placeForAll(wanted: string): Promise<string> {
  await mkdir(wanted, { recursive: true });
  if (await isReachable(wanted)) return wanted;
  await mkdir(systemPlace, { recursive: true });
  // Whatever the umask.
  for (const folder of [dirname(systemPlace), systemPlace]) await chmod(folder, 0o755);
  return systemPlace;
}

/** True when everybody may pass through every folder down to `directory`. */
async function isReachable(directory: string): Promise<boolean> {
  for (let folder = directory; folder !== dirname(folder); folder = dirname(folder))
    if (((await stat(folder)).mode & 0o001) === 0) return false;
  return true;
}
