// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { chown, mkdir, mkdtemp, open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import pg from 'pg';
import { lockFile } from '../files.ts';
import { findPostgres, type PostgresBinaries } from './binaries.ts';
import { type ClusterLocation, locateCluster } from './location.ts';
import { type Postmaster, runningPostmaster } from './postmaster.ts';

/** Longest socket path that a `sockaddr_un` holds (unix(7)). */
const socketPathLimit = 107;
/** Where sockets live whose own directory has too long a name. */
const shortPrefix = '/tmp/mbl-postgres-';
const superuser = 'mbl';
const database = 'mbl';

/** How the cluster is run: local socket only, every commit on the disk before it is acknowledged. */
const settings = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '40',
  shared_buffers: '128MB',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // Not UTC: this is the one zone that PostgreSQL knows where the machine has no time zone data.
  timezone: 'GMT',
  log_timezone: 'GMT',
};

export interface ClusterOptions {
  readonly directory: string;
  readonly startTimeoutMs?: number;
  readonly stopTimeoutMs?: number;
}

/** What `pg` needs to connect. */
export interface ConnectionTarget {
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

/**
 * A PostgreSQL cluster of our own: made on first use from Debian's programs, reachable only through a unix socket, started
 * and stopped with the service. A postmaster that outlived a killed service is taken over.
 */
export class PrivateCluster implements AsyncDisposable {
  readonly #options: ClusterOptions;
  #process: ChildProcess | undefined;
  #postmaster: Postmaster | undefined;
  /** It has run: what is not there now is away, and an empty one in its place would be taken for it. */
  #known = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Resolves when the cluster answers. Throws `service/postgres-…`. */
  async start(signal?: AbortSignal): Promise<ConnectionTarget> {
    const { startTimeoutMs = 30_000 } = this.#options;
    // Two starts at once would make the same cluster, and take each other's pid file for a stale one.
    await using _lock = await lockFile(`${resolve(this.#options.directory)}.lock`, 2 * startTimeoutMs);
    const location = await locateCluster(this.#options.directory);
    const data = join(await realpath(location.directory), 'data');
    const binaries = await findPostgres(await clusterMajor(data));
    if ((await clusterMajor(data)) === undefined) {
      if (this.#known)
        throw new MblError('service/postgres-not-started', `The data of PostgreSQL is gone from ${data}`, {
          remedy: 'Mount it, or put it back, and start again',
        });
      await initialise(binaries, data, location);
    }
    const deadline = AbortSignal.timeout(startTimeoutMs);
    const stop = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    this.#postmaster = await adopt(data, stop);
    if (this.#postmaster === undefined) await this.#launch(binaries, data, location, stop);
    const target = { host: this.#postmaster?.socketDirectory ?? '', user: superuser };
    await createDatabase({ ...target, database: 'postgres' });
    this.#known = true;
    return { ...target, database };
  }

  /** Leaves the postmaster to somebody else: disposing does nothing from now on. */
  leaveRunning(): void {
    this.#postmaster = undefined;
  }

  /** Ends all sessions and stops the postmaster; a postmaster that does not obey is made to recover at its next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    const postmaster = this.#postmaster;
    if (postmaster === undefined) return;
    this.#postmaster = undefined;
    const deadline = Date.now() + (this.#options.stopTimeoutMs ?? 15_000);
    // "Fast" and "immediate" shutdown: PostgreSQL manual, §19.5.
    send(postmaster.pid, 'SIGINT');
    while (this.#alive(postmaster.pid)) {
      if (Date.now() > deadline) {
        send(postmaster.pid, 'SIGQUIT');
        break;
      }
      await delay(10);
    }
    this.#process = undefined;
    if (postmaster.socketDirectory.startsWith(shortPrefix)) {
      await rm(postmaster.socketDirectory, { recursive: true, force: true });
    }
  }

  #alive(pid: number): boolean {
    if (this.#process !== undefined)
      return this.#process.exitCode === null && this.#process.signalCode === null;
    return send(pid, 0);
  }

  async #launch(
    binaries: PostgresBinaries,
    data: string,
    location: ClusterLocation,
    stop: AbortSignal,
  ): Promise<void> {
    const socketDirectory = await makeSocketDirectory(location);
    const log = await open(join(location.directory, 'log'), 'a', 0o600);
    try {
      for (;;) {
        // The number in a stale file may be in use by a stranger, in front of whom PostgreSQL would give way for ever.
        await rm(join(data, 'postmaster.pid'), { force: true });
        const from = (await log.stat()).size;
        const child = spawn(binaries.postgres, ['-D', data, ...settingArguments(socketDirectory)], {
          ...location.user,
          cwd: '/',
          env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
          stdio: ['ignore', log.fd, log.fd],
          // A process group of its own: Ctrl-C at a terminal must reach the service first.
          detached: true,
        });
        this.#process = child;
        const exited = await exitBeforeReady(child, data, stop);
        if (exited === undefined) break;
        const output = await tail(join(location.directory, 'log'), from);
        // Backends of a killed postmaster leave within moments, and hold the shared memory until then.
        if (/still in use|already exists/.test(output) && !stop.aborted) {
          await delay(100, undefined, { signal: stop });
          continue;
        }
        throw new MblError('service/postgres-not-started', `PostgreSQL did not start: ${lastLine(output)}`, {
          remedy: `Read ${join(location.directory, 'log')}`,
          details: { exit: exited },
        });
      }
    } finally {
      await log.close();
    }
    // The postmaster is no reason to keep this process alive; whoever started it stops it.
    this.#process?.unref();
    this.#postmaster = { pid: this.#process?.pid ?? 0, socketDirectory };
  }
}

function settingArguments(socketDirectory: string): string[] {
  const all = { ...settings, unix_socket_directories: socketDirectory };
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function clusterMajor(data: string): Promise<number | undefined> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text.trim());
}

/** initdb into a neighbour that is renamed when complete, so that an interrupted one leaves nothing behind. */
async function initialise(
  binaries: PostgresBinaries,
  data: string,
  location: ClusterLocation,
): Promise<void> {
  const fresh = `${data}.new`;
  await rm(fresh, { recursive: true, force: true });
  const child = spawn(
    binaries.initdb,
    ['-D', fresh, '-U', superuser, '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--data-checksums'],
    { ...location.user, cwd: '/', env: { PATH: '/usr/bin:/bin' }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let output = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-4000);
  });
  const code = await new Promise<number | null>((done, fail) =>
    child.once('error', fail).once('close', done),
  );
  if (code !== 0) {
    await rm(fresh, { recursive: true, force: true });
    throw new MblError('service/postgres-not-made', `initdb failed: ${lastLine(output)}`, {
      remedy: `Check the free space and the owner of ${location.directory}`,
      details: { output },
    });
  }
  await rename(fresh, data);
}

/** Mode 0700 on this directory is the access control: whoever can open the socket is the superuser. */
async function makeSocketDirectory(location: ClusterLocation): Promise<string> {
  const near = join(location.directory, 'socket');
  if (Buffer.byteLength(join(near, '.s.PGSQL.5432')) <= socketPathLimit) {
    await mkdir(near, { recursive: true, mode: 0o700 });
    if (location.user !== undefined) await chown(near, location.user.uid, location.user.gid);
    return near;
  }
  const short = await mkdtemp(shortPrefix);
  if (location.user !== undefined) await chown(short, location.user.uid, location.user.gid);
  return short;
}

/** The exit of a postmaster that gave up, or undefined once it accepts connections (its pid file says so). */
async function exitBeforeReady(
  child: ChildProcess,
  data: string,
  stop: AbortSignal,
): Promise<number | string | undefined> {
  let exit: number | string | undefined;
  child.once('error', (error) => {
    exit = error.message;
  });
  child.once('exit', (code, killed) => {
    exit = code ?? killed ?? 'unknown';
  });
  for (;;) {
    if (exit !== undefined) return exit;
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return undefined;
    if (stop.aborted) {
      child.kill('SIGQUIT');
      throw new MblError('service/postgres-not-started', 'PostgreSQL did not get ready in time', {
        cause: stop.reason,
      });
    }
    await delay(10);
  }
}

/** Takes over a postmaster that is running, once it answers; undefined when there is none, or it ends while we ask. */
async function adopt(data: string, stop: AbortSignal): Promise<Postmaster | undefined> {
  for (;;) {
    const found = await runningPostmaster(data);
    if (found === undefined) return undefined;
    const client = new pg.Client({
      host: found.socketDirectory,
      user: superuser,
      database: 'postgres',
      connectionTimeoutMillis: 5000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return found;
    } catch (cause) {
      if (stop.aborted) {
        throw new MblError(
          'service/postgres-not-started',
          'PostgreSQL runs, but does not answer on its socket',
          {
            remedy: `Stop it (kill ${found.pid}) and start again`,
            cause,
          },
        );
      }
      await delay(20);
    }
  }
}

async function createDatabase(target: ConnectionTarget): Promise<void> {
  const client = new pg.Client(target);
  client.on('error', () => {});
  try {
    await client.connect();
    const found = await client.query('select 1 from pg_database where datname = $1', [database]);
    if (found.rowCount === 0) await client.query(`create database ${database}`);
  } catch (cause) {
    throw new MblError('service/postgres-not-started', `PostgreSQL went away: ${(cause as Error).message}`, {
      remedy: 'Start again',
      cause,
    });
  } finally {
    await client.end().catch(() => {});
  }
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function tail(path: string, from: number): Promise<string> {
  const text = await readFile(path);
  return text.subarray(Math.max(from, text.length - 8192)).toString('utf8');
}

function lastLine(output: string): string {
  const lines = output.trim().split('\n');
  return lines.findLast((line) => /FATAL|error/i.test(line)) ?? lines.at(-1) ?? 'no output';
}
