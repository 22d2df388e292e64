// SPDX-License-Identifier: Apache-2.0
import { link, readFile, unlink, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf } from './errno.ts';

export interface FileLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when another process holds the lock. */
  readonly onWait?: ((pid: number) => void) | undefined;
}

/**
 * Holds the lock file `path` until disposed; waits while a living process holds it. A lock belongs to a process by id and start time, so
 * one that a killed process left behind is taken over.
 */
export async function lockFile(path: string, options: FileLockOptions = {}): Promise<AsyncDisposable> {
  const { signal, onWait } = options;
  let told = false;
  while (!(await tryLock(path))) {
    const owner = await readOwner(path);
    if (owner !== undefined && !isAlive(owner)) {
      await breakLock(path, options);
      continue;
    }
    if (owner !== undefined && !told) {
      told = true;
      onWait?.(owner.pid);
    }
    await sleep(100, undefined, { signal });
  }
  return { [Symbol.asyncDispose]: () => unlinkIfThere(path) };
}

/** True when somebody alive holds the lock file. */
export async function isLocked(path: string): Promise<boolean> {
  const owner = await readOwner(path);
  return owner !== undefined && isAlive(owner);
}

interface Owner {
  readonly pid: number;
  /** Clock ticks from the start of the system to the start of the process (proc_pid_stat(5), field 22). */
  readonly started: string;
}

/** The lock appears with its content at once, or not at all: it is made under another name and linked. */
async function tryLock(path: string): Promise<boolean> {
  const started = startOf(process.pid) ?? '';
  const draft = `${path}.${process.pid}-${started}-${Math.random().toString(36).slice(2)}`;
  await writeFile(draft, `${process.pid} ${started}\n`);
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await unlinkIfThere(draft);
  }
}

/**
 * Removes the lock of a dead owner. Two processes may see the same dead owner, and the slower one must not remove the lock that the
 * faster one has taken since: so a lock on the removal is held, and the owner is read again under it.
 */
async function breakLock(path: string, options: FileLockOptions): Promise<void> {
  await using _ = await lockFile(`${path}.break`, { signal: options.signal });
  const owner = await readOwner(path);
  if (owner !== undefined && !isAlive(owner)) await unlinkIfThere(path);
}

async function readOwner(path: string): Promise<Owner | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const [pid = '', started = ''] = text.trim().split(' ');
  // A lock that cannot be read has no owner that lives: pid 0 has no start time.
  return { pid: /^\d{1,10}$/.test(pid) ? Number(pid) : 0, started };
}

function isAlive({ pid, started }: Owner): boolean {
  return pid > 0 && startOf(pid) === started;
}

function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command's name stands in brackets and may hold spaces and brackets itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more.
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
