// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, stat, statfs } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../common/files.ts';
import { runForOutput } from '../common/output.ts';
import { removeTree } from '../common/remove-tree.ts';
import { makeFolder } from '../storage/folders.ts';
import type { Effects, FileOptions, UnitState } from './effects.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

/** Milliseconds: a start and a stop of apps may take as long as their units allow (a grace of ten minutes, and what follows it), the rest is quick. */
const startMs = 600_000;
const stopMs = 900_000;
const quickMs = 120_000;
/** How `mbl-native` ends for a file that is open to write, and where the file system has no such thing. */
const busy = 7;
const absent = 4;
const shown = [
  'ActiveState',
  'Result',
  'NRestarts',
  'ExecMainCode',
  'ExecMainStatus',
  'ActiveEnterTimestampMonotonic',
];

/** The device. `native`: the path of `mbl-native`; `data`: a path of the file system that apps are on. */
export function deviceEffects({ native, data }: { readonly native: string; readonly data: string }): Effects {
  const helper = async (...args: readonly string[]) =>
    await runForOutput(native, args, { deadlineMs: quickMs, most: 4096 });
  const must = async (command: string, args: readonly string[], deadlineMs = quickMs): Promise<void> => {
    const { code, output } = await runForOutput(command, args, { deadlineMs, most: 4096 });
    if (code !== 0) throw failure(`${basename(command)} ${args[0] ?? ''}: ${lastLine(output)}`);
  };
  return {
    async read(path, most) {
      return await withFile(path, async (file, { size }) =>
        size > most ? undefined : (await file.readFile()).toString('utf8'),
      );
    },
    async stamp(path) {
      const entry = await plain(path);
      return entry && `${entry.ino} ${entry.size} ${entry.mtimeMs}`;
    },
    async write(path, text, options) {
      const draft = join(dirname(path), `.${basename(path)}.new`);
      await removeTree(draft);
      {
        await using file = await open(draft, O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW, 0o600);
        await file.writeFile(text);
        await file.chown(options.uid ?? 0, options.gid ?? 0);
        await file.chmod(options.mode);
        await file.sync();
      }
      // A folder in its place would stay.
      if ((await lstat(path).catch(() => undefined))?.isDirectory() === true) await removeTree(path);
      await rename(draft, path);
      await using folder = await open(dirname(path), O_RDONLY | O_DIRECTORY);
      await folder.sync();
    },
    async folder(path, { mode, uid = 0, gid = 0 }) {
      await makeFolder(path, mode, { uid, gid });
    },
    remove: removeTree,
    async list(path) {
      try {
        return (await readdir(path)).toSorted();
      } catch (error) {
        if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return [];
        throw error;
      }
    },
    move: rename,
    async size(path) {
      return (await plain(path))?.size;
    },
    async give(path, { mode, uid = 0, gid = 0 }: FileOptions) {
      await withFile(path, async (file) => {
        await file.chown(uid, gid);
        await file.chmod(mode);
      });
    },

    async seal(path) {
      const { code, output } = await helper('verity', 'enable', path);
      if (code !== 0 && code !== busy) throw failure(`verity enable: ${lastLine(output)}`);
      return code === 0;
    },
    async copy(from, to, bytes, { mode, uid = 0, gid = 0 }) {
      await removeTree(to);
      await using source = await open(from, O_RDONLY | O_NOFOLLOW);
      await using target = await open(to, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
      const piece = Buffer.alloc(Math.min(bytes, 1 << 20));
      for (let left = bytes; left > 0; ) {
        const { bytesRead } = await source.read(piece, 0, Math.min(left, piece.length));
        if (bytesRead === 0) break;
        await target.writeFile(piece.subarray(0, bytesRead));
        left -= bytesRead;
      }
      await target.chown(uid, gid);
      await target.chmod(mode);
      await target.sync();
    },
    async measure(path) {
      const { code, output } = await helper('verity', 'measure', path);
      return code === 0 ? output.trim() : undefined;
    },
    async quota(folder, project, bytes, files) {
      const { code, output } = await helper('quota', 'set', folder, ...[project, bytes, files].map(String));
      if (code !== 0 && code !== absent) throw failure(`quota set: ${lastLine(output)}`);
      return code === 0;
    },
    free: (path) => must(native, ['quota', 'leave', path]),
    async capacity() {
      const { blocks, bsize, files } = await statfs(data);
      return { bytes: blocks * bsize, files };
    },
    async device(path) {
      const entry = await stat(path).catch(() => undefined);
      if (entry === undefined || !(entry.isCharacterDevice() || entry.isBlockDevice())) return undefined;
      return { type: entry.isBlockDevice() ? 'b' : 'c', ...numbersOf(BigInt(entry.rdev)) };
    },

    reload: () => must('systemctl', ['daemon-reload']),
    async start(units, wait) {
      const args = ['start', ...(wait ? [] : ['--no-block']), ...units];
      const { code, output } = await runForOutput('systemctl', args, { deadlineMs: startMs, most: 4096 });
      if (code === 0) return undefined;
      return output.split('\n')[0]?.trim() || `${units.join(', ')} did not start in time`;
    },
    stop: (units) => must('systemctl', ['stop', ...units], stopMs),
    async show(unit) {
      const args = ['show', `--property=${shown.join()}`, unit];
      const { output } = await runForOutput('systemctl', args, { deadlineMs: quickMs, most: 4096 });
      return parseShown(output);
    },

    async pause(ms) {
      await sleep(ms);
    },
    clock: () => monotonicMs(),
    say: (line) => void process.stdout.write(`${line}\n`),
  };

  async function plain(path: string) {
    const entry = await lstat(path).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
      throw error;
    });
    return entry?.isFile() === true ? entry : undefined;
  }
}

type Handle = Awaited<ReturnType<typeof open>>;

/** Undefined where there is no plain file: nobody's link is followed, and nobody's pipe is waited for. */
async function withFile<T>(
  path: string,
  use: (file: Handle, facts: { readonly size: number }) => Promise<T>,
): Promise<T | undefined> {
  let file: Handle;
  try {
    file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].some((code) => isErrno(error, code))) return undefined;
    throw error;
  }
  await using held = file;
  const facts = await held.stat();
  return facts.isFile() ? await use(held, facts) : undefined;
}

/** CLOCK_MONOTONIC, which systemd's times are of too. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** The answer of `systemctl show`. */
export function parseShown(output: string, now = monotonicMs()): UnitState {
  const values = new Map(
    output.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
  const number = (name: string) => {
    const value = Number(values.get(name));
    return Number.isSafeInteger(value) ? value : 0;
  };
  const entered = number('ActiveEnterTimestampMonotonic') / 1000;
  const active = values.get('ActiveState') ?? 'inactive';
  return {
    active,
    result: values.get('Result') ?? '',
    restarts: number('NRestarts'),
    code: number('ExecMainCode'),
    status: number('ExecMainStatus'),
    activeFor: active === 'active' && entered > 0 ? Math.max(0, now - entered) : 0,
  };
}

/** Major and minor number of a device (glibc's gnu_dev_major and gnu_dev_minor). */
function numbersOf(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)),
  };
}

/** `mbl-native` ends its sentence with the kernel's number where that says more. */
function failure(sentence: string): Error {
  const full = sentence.endsWith(`: error ${osConstants.errno.ENOSPC}`);
  return Object.assign(new Error(sentence), full && { code: 'ENOSPC' });
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
}
