// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MblError } from '@mbl/trust';

/** File name to content. */
export type FactoryFiles = Readonly<Record<string, string | Uint8Array>>;

export interface PackOptions {
  /** Environment of `mkfs.erofs`; default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The content of a factory partition: an erofs image (Linux Documentation/filesystems/erofs.rst) with these files, root's alone, and
 * a UUID of its own. Runs `mkfs.erofs` from PATH. Throws `factory/bad-name`, `factory/not-packed`.
 */
export async function packFactory(files: FactoryFiles, options: PackOptions = {}): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'mbl-factory-'));
  try {
    const folder = join(work, 'files');
    await mkdir(folder, { mode: 0o755 });
    for (const [name, content] of Object.entries(files)) {
      if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name))
        throw new MblError('factory/bad-name', `${name} is no name for a factory file.`, {
          remedy: 'Use letters, digits, dot, hyphen and underscore, 64 at most.',
        });
      // Root's alone: the enrolment code is a secret until it was used.
      await writeFile(join(folder, name), content, { mode: 0o600 });
    }
    const packed = join(work, 'factory.erofs');
    await makeErofs(['--quiet', '-T0', '-U', randomUUID(), '--all-root', packed, folder], options);
    return await readFile(packed);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function makeErofs(args: readonly string[], { env, signal }: PackOptions): Promise<void> {
  try {
    await promisify(execFile)('mkfs.erofs', args, { env, signal, timeout: 60_000 });
  } catch (cause) {
    signal?.throwIfAborted();
    const { code, stderr = '' } = cause as NodeJS.ErrnoException & { stderr?: string };
    const missing = code === 'ENOENT';
    const said = stderr.trim();
    throw new MblError('factory/not-packed', `mkfs.erofs could not pack the factory partition: ${said}`, {
      remedy: missing ? 'Install it: apt-get install erofs-utils' : `Check the space in ${tmpdir()}.`,
      cause,
    });
  }
}
