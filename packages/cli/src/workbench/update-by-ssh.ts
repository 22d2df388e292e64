// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveFolder } from '@mbl/releases';
import { MblError } from '@mbl/trust';
import type { Report } from '../progress.ts';

export interface SshUpdate {
  /** For messages. */
  readonly name: string;
  /** Arguments of `ssh` that reach root on the device, the destination last. */
  readonly ssh: readonly string[];
  /** Its name, or `<URL of the repository>#<name>`, which the device fetches itself. */
  readonly release: string;
  /** The repository that is served through the connection. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Between two looks, in milliseconds. */
  readonly pauseMs?: number;
}

/** Longer than three starts in vain and the verdict on each. */
const patienceMs = 45 * 60_000;
const portTries = 5;

/**
 * Gives the order on the device, serves it the repository through the connection, and follows it until the release has proved good. The
 * device needs no network and no service for it. Throws `cli/ssh-failed`, `cli/update-failed`, `cli/update-endless`.
 */
export async function updateBySsh(update: SshUpdate): Promise<{ readonly release: string }> {
  const at = update.release.indexOf('#');
  const release = update.release.slice(at + 1);
  await bring(update, release, at < 0 ? undefined : update.release.slice(0, at));
  return await follow(update, release);
}

async function bring(update: SshUpdate, release: string, url: string | undefined): Promise<void> {
  if (url !== undefined) return fail(update, await giveOrder(update, [release, url], []));
  await using served = await serveFolder(update.folder);
  for (let attempt = 1; ; attempt++) {
    // One that nobody on the device listens at, most likely; where somebody does, ssh says so.
    const port = randomInt(20_000, 60_000);
    const forward = ['-R', `127.0.0.1:${port}:127.0.0.1:${served.port}`, '-o', 'ExitOnForwardFailure=yes'];
    const ended = await giveOrder(update, [release, `http://127.0.0.1:${port}/`], forward);
    if (ended.code === sshFailed && /remote port forwarding failed/.test(ended.said) && attempt < portTries)
      continue;
    return fail(update, ended);
  }
}

interface Ended {
  readonly code: number | null;
  /** The last line that was said. */
  readonly said: string;
}

const sshFailed = 255;

function fail({ name }: SshUpdate, { code, said }: Ended): void {
  if (code === 0) return;
  if (code === sshFailed)
    throw new MblError('cli/ssh-failed', `${name} cannot be reached by SSH: ${said}`, {
      remedy: 'The development image takes the keys of its factory configuration, a production image none.',
    });
  throw new MblError('cli/update-failed', `${name} runs what it ran before: ${said}`, {
    remedy: 'What it said: journalctl -u mbl-cloud-client -u mbl-platformd, on the device',
  });
}

async function giveOrder(
  { ssh, report, signal }: SshUpdate,
  words: readonly string[],
  options: readonly string[],
): Promise<Ended> {
  const command = ['/usr/sbin/mbl-update', ...words.map(quote)].join(' ');
  return await runSsh([...options, ...ssh, '--', command], signal, (line) => report(undefined, line));
}

async function follow(
  { name, ssh, signal, report, pauseMs = 3000 }: SshUpdate,
  release: string,
): Promise<{ release: string }> {
  const until = performance.now() + patienceMs;
  while (performance.now() < until) {
    await sleep(pauseMs, undefined, { signal });
    const lines = new Map<string, string>();
    const { code } = await runSsh([...ssh, '--', '/usr/sbin/mbl-update --status'], signal, (line) => {
      const at = line.indexOf('=');
      if (at > 0) lines.set(line.slice(0, at), line.slice(at + 1));
    });
    // It is away while it restarts.
    if (code !== 0) continue;
    const state = lines.get('state') ?? '';
    report(undefined, state);
    if (lines.get('release') !== release || (state !== 'confirmed' && state !== 'fell-back')) continue;
    if (state === 'confirmed') return { release };
    throw new MblError('cli/update-failed', `${name} runs what it ran before: ${lines.get('detail')}`, {
      remedy: 'What it said: journalctl -u mbl-cloud-client -u mbl-platformd, on the device',
    });
  }
  throw new MblError(
    'cli/update-endless',
    `${name} has not said within ${patienceMs / 60_000} minutes how it ended`,
    { remedy: 'Ask it: mbl-update --status, on the device' },
  );
}

async function runSsh(
  args: readonly string[],
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<Ended> {
  // A connection of its own, which ends with the command: what it forwards goes with it.
  const own = ['-o', 'ControlPath=none', '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=30'];
  const alive = ['-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3'];
  const child = spawn('ssh', [...own, ...alive, ...args], { stdio: ['ignore', 'pipe', 'pipe'], signal });
  const ended = new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  const errors = text(child.stderr);
  let said = '';
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine((said = line));
  });
  const code = await ended.catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new MblError('cli/ssh-failed', 'The program ssh cannot be started.', {
      remedy: 'Install it: apt-get install openssh-client',
      cause,
    });
  });
  const [last] = (await errors).trim().split('\n').slice(-1);
  return { code, said: code === sshFailed || said === '' ? (last ?? '') : said };
}

/** As one word of the device's shell. */
function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
