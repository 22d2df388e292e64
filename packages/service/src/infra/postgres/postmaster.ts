// SPDX-License-Identifier: Apache-2.0
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** A running postmaster, as its pid file tells. */
export interface Postmaster {
  readonly pid: number;
  readonly socketDirectory: string;
}

/**
 * The postmaster that runs on a data directory, or undefined. A pid file outlives a killed postmaster, and its number may
 * belong to another process by now; only a process whose working directory is the data directory counts.
 */
export async function runningPostmaster(data: string): Promise<Postmaster | undefined> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  if (cwd !== data) return undefined;
  return { pid, socketDirectory: lines[4] ?? '' };
}
