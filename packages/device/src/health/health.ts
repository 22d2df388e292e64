// SPDX-License-Identifier: Apache-2.0
import { access, readdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../common/files.ts';
import type { Outcome } from '../common/run.ts';

export type Run = (command: string, args: readonly string[], deadlineMs: number) => Promise<Outcome>;

export interface HealthOptions {
  readonly run: Run;
  /** A file that is there while this version could get another one. */
  readonly reached: string;
  /** What is wrong where it is not, in one sentence. */
  readonly unreached: () => Promise<string>;
  /** The root of releases in the image: without it this version would be the last. */
  readonly releaseRoot: string;
  /** The product's own checks: programs, each of which ends with 0 where all is well. They are part of the signed root. */
  readonly checks: string;
  readonly limitMs: number;
  /** Between two looks. */
  readonly pauseMs: number;
  readonly say: (line: string) => void;
}

const deadlineMs = 60_000;
const client = 'mbl-cloud-client.service';

/**
 * Waits until the system is healthy: started to its end, no unit failed, in reach, able to take the next release, each of the product's
 * checks content. Returns undefined then, and after the limit one sentence about what is wrong.
 */
export async function becomesHealthy(options: HealthOptions): Promise<string | undefined> {
  const { limitMs, pauseMs, say } = options;
  const until = performance.now() + limitMs;
  let said = '';
  for (;;) {
    const fault = await faultOf(options);
    if (fault === undefined || performance.now() >= until) return fault;
    if (fault !== said) say(`not healthy yet: ${fault}`);
    said = fault;
    await sleep(pauseMs);
  }
}

async function faultOf({
  run,
  reached,
  unreached,
  releaseRoot,
  checks,
}: HealthOptions): Promise<string | undefined> {
  const units = await run('systemctl', ['list-units', '--failed', '--plain', '--no-legend'], deadlineMs);
  if (units.code !== 0) return 'systemd does not answer';
  const failed = (units.all ?? units.said).split('\n').map((line) => line.trim().split(/\s/)[0] ?? '');
  // An app is its own team's business: it takes no operating system back.
  const own = failed.find((unit) => unit !== '' && !unit.startsWith('mbl-app-'));
  if (own !== undefined) return `a unit failed: ${own}`;
  if ((await run('systemctl', ['is-active', '--quiet', 'multi-user.target'], deadlineMs)).code !== 0)
    return 'the system has not started to its end';
  if (!(await exists(releaseRoot))) return 'the image has no root for releases';
  if (!(await exists(reached))) return await unreached();
  for (const name of await programs(checks)) {
    const { code, said } = await run(join(checks, name), [], deadlineMs);
    if (code !== 0)
      return `the check ${name} ${code === undefined ? 'did not end' : `ended with ${code}`}${said === '' ? '' : `: ${said}`}`;
  }
  return undefined;
}

/** What of the way to the service is missing: the client, the network, or what is behind them. */
/** Why a device is not registered, as far as it can be told: its client ends, it has no network. */
export async function whyNotRegistered(run: Run, online: () => boolean): Promise<string> {
  const fault = 'the device is not registered with its service';
  const { said } = await run('systemctl', ['show', '--property=NRestarts', '--value', client], deadlineMs);
  const restarts = /^\d+$/.test(said) ? Number(said) : 0;
  if (restarts > 0) return `${fault}: its client ended ${restarts} ${restarts === 1 ? 'time' : 'times'}`;
  if (!online()) return `${fault}: it has no network`;
  return `${fault}, or its platform service does not answer`;
}

/** True with an address that somebody outside may answer to. */
export function hasNetwork(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): boolean {
  const local = /^(fe80:|169\.254\.)/;
  return Object.values(interfaces).some((addresses) =>
    addresses?.some(({ internal, address }) => !internal && !local.test(address)),
  );
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** In the order of their names. */
async function programs(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return [];
    throw cause;
  }
}
