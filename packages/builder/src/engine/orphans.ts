// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Ends the processes that a killed build left running for the task with this mark: they would go on writing where the task is built
 * again. Returns their ids.
 */
export async function endOrphans(mark: string, signal?: AbortSignal): Promise<number[]> {
  const ended = new Set<number>();
  for (;;) {
    const found = await processesWith(`MBL_TASK=${mark}`);
    if (found.length === 0) return [...ended];
    for (const pid of found) {
      ended.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    await sleep(20, undefined, { signal });
  }
}

async function processesWith(variable: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process of somebody else, or one that has ended, cannot be read; the environment of a zombie is empty.
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      return environment.split('\0').includes(variable) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}
