// SPDX-License-Identifier: Apache-2.0
import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { findWorkspace, processCli, startDaemon, stopDaemon, useTools } from '@mbl/cli';
import type { ServiceFile } from '@mbl/formats';
import { root, run, scratch } from './support.ts';

/** CPU in seconds. */
export interface Cpu {
  readonly service: number;
  readonly database: number;
}

/** The service as `mbl up` starts it, a process of its own with a PostgreSQL cluster of its own, in a folder that is gone afterwards. */
export class BenchService implements AsyncDisposable {
  readonly #state: AsyncDisposable & { readonly path: string };
  readonly #cli: ReturnType<typeof processCli>;
  #file: ServiceFile | undefined;

  private constructor(state: AsyncDisposable & { readonly path: string }) {
    this.#state = state;
    this.#cli = processCli(findWorkspace({ ...process.env, MBL_STATE: state.path }, root));
  }

  static async start(): Promise<BenchService> {
    const service = new BenchService(await scratch());
    // PostgreSQL does not run as root, and has to pass: otherwise its cluster is kept elsewhere, and stays.
    await chmod(service.#state.path, 0o711);
    // The service is measured from inside without a line of its own for that.
    process.env['NODE_OPTIONS'] =
      `--import=${pathToFileURL(join(import.meta.dirname, 'loop-probe.ts')).href}`;
    process.env['MBL_BENCH_PROBE'] = join(service.#state.path, 'probe.json');
    await useTools(service.#cli);
    await service.start();
    return service;
  }

  get file(): ServiceFile {
    if (this.#file === undefined) throw new Error('the service does not run');
    return this.#file;
  }

  /** Its log, the database's files, its certificate authorities. */
  get directory(): string {
    return join(this.#state.path, 'service');
  }

  /** Gives the seconds until it answers. */
  async start(): Promise<number> {
    const begin = performance.now();
    const { workspace, signal } = this.#cli;
    this.#file = (await startDaemon(workspace, { signal })).file;
    return (performance.now() - begin) / 1000;
  }

  async stop(): Promise<void> {
    await stopDaemon(this.#cli.workspace, this.#cli.signal);
  }

  /** Ends the process as a crash does: nothing is written down. The database goes on. */
  async kill(): Promise<void> {
    const { pid } = this.file;
    process.kill(pid, 'SIGKILL');
    while ((await ticksOf(pid)) !== undefined) await sleep(10);
  }

  /** Runs SQL; gives the lines of its answer, columns with | between. */
  async sql(text: string): Promise<string[]> {
    const { stdout } = await run('psql', [...(await this.#psql()), '-c', text, 'mbl']);
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** Runs a file of SQL. */
  async sqlFile(path: string): Promise<void> {
    await run('psql', [...(await this.#psql()), '-f', path, 'mbl']);
  }

  /** The longest time in ms for which its event loop was held up since the last call, beyond what a timer is late by itself. */
  async stall(): Promise<number> {
    const path = join(this.#state.path, 'probe.json');
    await rm(path, { force: true });
    process.kill(this.file.pid, 'SIGUSR2');
    for (;;) {
      const text = await readFile(path, 'utf8').catch(() => '');
      if (text.endsWith('\n')) return (JSON.parse(text) as { stall: number }).stall;
      await sleep(20);
    }
  }

  /** What the service and its database have used since they started. */
  async cpu(): Promise<Cpu> {
    const postmaster = Number.parseInt(await this.#postmaster(), 10);
    const service = await ticksOf(this.file.pid);
    // What its ended children used is the postmaster's.
    let database = (await ticksOf(postmaster, true))?.ticks ?? 0;
    for (const entry of await readdir('/proc')) {
      const process = /^\d+$/.test(entry) ? await ticksOf(Number(entry)) : undefined;
      if (process?.parent === postmaster) database += process.ticks;
    }
    return { service: (service?.ticks ?? 0) / ticksPerSecond, database: database / ticksPerSecond };
  }

  /** Megabytes of memory that are the service's own. */
  async memory(): Promise<number> {
    const text = await readFile(`/proc/${this.file.pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
  }

  /** Arguments: no settings of the user, bare output, the end at the first error; then where the database is. */
  async #psql(): Promise<string[]> {
    const [, , , , socket = ''] = (await this.#postmaster()).split('\n');
    return ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', socket, '-U', 'mbl'];
  }

  async #postmaster(): Promise<string> {
    return await readFile(join(this.directory, 'postgres/data/postmaster.pid'), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if ((await ticksOf(this.file.pid)) === undefined) {
      const log = await readFile(join(this.directory, 'service.log'), 'utf8');
      console.error(`the service ended:\n${log.slice(-2000)}`);
    }
    await this.stop();
    await this.#state[Symbol.asyncDispose]();
  }
}

/** USER_HZ, which Linux has at 100 on every architecture of ours (proc(5)). */
const ticksPerSecond = 100;

/** CPU time of a process, and its parent; undefined when it is gone, or a zombie. Fields of /proc/<pid>/stat by proc(5). */
async function ticksOf(
  pid: number,
  withEndedChildren = false,
): Promise<{ readonly parent: number; readonly ticks: number } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name, in parentheses, may hold anything.
  const [state, parent, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (text === '' || state === 'Z') return undefined;
  // utime, stime; cutime, cstime: fields 14 to 17.
  const times = rest.slice(9, withEndedChildren ? 13 : 11).map(Number);
  return { parent: Number(parent), ticks: times.reduce((sum, one) => sum + one, 0) };
}
