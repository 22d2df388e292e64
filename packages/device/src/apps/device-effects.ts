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

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

/** Milliseconds: a start and a stop of apps may take as long as their units allow (a grace of ten minutes, and what follows it), the rest is quick. */
const startMs = 600_000;
const stopMs = 900_000;
const quickMs = 120_000;
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

    seal: (path) => must(native, ['verity', 'enable', path]),
    async measure(path) {
      const { code, output } = await helper('verity', 'measure', path);
      return code === 0 ? output.trim() : undefined;
    },
    quota: (folder, project, bytes, files) =>
      must(native, ['quota', 'set', folder, String(project), String(bytes), String(files)]),
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
