// SPDX-License-Identifier: Apache-2.0
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findMirrors } from '@mbl/builder';
import { root } from './mbl.ts';

const run = promisify(execFile);

/** A Debian system in a folder: the essential packages, and those that the launcher asks for on a machine without npm. */
export interface BareSystem extends AsyncDisposable {
  /** The folder, `/` inside. */
  readonly path: string;
  /**
   * Starts a program inside, in a process group of its own, where there is no network but a loopback of its own. `user` is a number that
   * need not have a name there; `environment` is all of the environment.
   */
  start(command: readonly string[], options: StartOptions): ChildProcess;
}

export interface StartOptions {
  readonly user: number;
  /** Absolute, inside. */
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes a system of a suite from the machine's own mirror, by mmdebstrap. Needs root. */
export async function makeBareSystem(suite: string): Promise<BareSystem> {
  const path = await mkdtemp(join(tmpdir(), `mbl-${suite}-`));
  const { main } = await findMirrors();
  const list = await readFile(join(root, 'os/host-packages.txt'), 'utf8');
  const packages = [...list.matchAll(/^run +(\S+)/gm)].map(([, name = '']) => name);
  const include = `--include=${packages.join(',')}`;
  // A mirror that stands still serves as well: what the system holds is not under test.
  const dates = ['Valid-Until', 'Date'].map((name) => `--aptopt=Acquire::Check-${name} "false"`);
  const args = ['--quiet', '--mode=root', '--variant=minbase', ...dates, include, suite, path, main];
  await run('mmdebstrap', args);
  await chmod(path, 0o755);
  return {
    path,
    start(command, { user, cwd, environment }) {
      // Where / is no mount point, as in a plain chroot, the mount may be seen outside: so it is taken away again.
      const script = `mount --make-rprivate / 2>/dev/null; mount -t proc proc "$1/proc" || exit 125
        root=$1 user=$2; shift 2; trap : INT TERM
        chroot --userspec="$user:$user" "$root" "$@"
        code=$?; umount "$root/proc"; exit $code`;
      const inside = [
        'env',
        '-i',
        `--chdir=${cwd}`,
        ...Object.entries(environment).map((pair) => pair.join('=')),
      ];
      const namespaces = ['--mount', '--propagation', 'unchanged', '--net'];
      const args = [...namespaces, 'sh', '-c', script, 'sh', path, String(user), ...inside, ...command];
      return spawn('unshare', args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    },
    [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }),
  };
}
