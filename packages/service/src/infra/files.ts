// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MblError } from '@mbl/trust';

/** Replaces a file in one step and on the disk: a reader, or the next start after a power cut, sees the old or the new. */
export async function writeAtomic(path: string, content: string, mode: number): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The text of a file, or undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Waits for a file's lock and holds it until disposed, or until this process ends. Throws `service/locked` when somebody else
 * keeps it.
 */
export async function lockFile(path: string, timeoutMs: number): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'a', 0o600);
  try {
    // The lock is the open file's, which flock shares with us (flock(2)): it stays when flock has gone.
    const child = spawn('flock', ['-w', String(Math.ceil(timeoutMs / 1000)), '3'], {
      stdio: ['ignore', 'ignore', 'ignore', file.fd],
    });
    const [code] = await once(child, 'close');
    if (code === 0) return file;
    throw new MblError('service/locked', `Another process holds ${path}`, {
      remedy: `See which: fuser ${path}`,
    });
  } catch (error) {
    await file.close();
    throw error;
  }
}
