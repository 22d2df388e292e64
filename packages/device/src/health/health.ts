// SPDX-License-Identifier: Apache-2.0
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../common/files.ts';
import type { Outcome } from '../common/run.ts';

export type Run = (command: string, args: readonly string[], deadlineMs: number) => Promise<Outcome>;

export interface HealthOptions {
  readonly run: Run;
  /** A file that is there while the device is registered with its service. */
  readonly registered: string;
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

/**
 * Waits until the system is healthy: started to its end, no unit failed, registered, able to take the next release, each of the product's
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

async function faultOf({ run, registered, releaseRoot, checks }: HealthOptions): Promise<string | undefined> {
  const units = await run('systemctl', ['list-units', '--failed', '--plain', '--no-legend'], deadlineMs);
  if (units.code !== 0) return 'systemd does not answer';
  if (units.said !== '') return `a unit failed: ${units.said.split(/\s/)[0]}`;
  if ((await run('systemctl', ['is-active', '--quiet', 'multi-user.target'], deadlineMs)).code !== 0)
    return 'the system has not started to its end';
  if (!(await exists(releaseRoot))) return 'the image has no root for releases';
  if (!(await exists(registered)))
    return 'the device is not registered with its service, or its platform service does not answer';
  for (const name of await programs(checks)) {
    const { code, said } = await run(join(checks, name), [], deadlineMs);
    if (code !== 0)
      return `the check ${name} ${code === undefined ? 'did not end' : `ended with ${code}`}${said === '' ? '' : `: ${said}`}`;
  }
  return undefined;
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
