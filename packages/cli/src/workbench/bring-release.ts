// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Report } from '../progress.ts';

/** LwM2M Core 1.1 Appendix E.6, resources 3 and 5. */
const states = ['idle', 'downloading', 'downloaded', 'updating'];
const success = 1;
const failed = 8;

const pauseMs = 2000;
/** Longer than three starts in vain and the verdict on each. */
const patienceMs = 45 * 60_000;

export interface BringOptions {
  readonly client: ServiceClient;
  readonly device: Device;
  /** Its name, or `<URL of the repository>#<name>`. */
  readonly release: string;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/**
 * Has the device fetch a release and start it, and follows it until it has proved good. Throws `cli/update-replaced`,
 * `cli/update-endless`, `cli/update-failed`.
 */
export async function bringRelease({
  client,
  device,
  release,
  signal,
  report,
}: BringOptions): Promise<{ readonly release: string }> {
  const name = device.endpoint_name;
  const uri = release.includes('#') ? release : `#${release}`;
  await client.write(device.id, '/5/0/1', uri, { signal });
  const wanted = release.slice(release.indexOf('#') + 1);
  const until = performance.now() + patienceMs;
  let ordered = false;
  while (performance.now() < until) {
    await sleep(pauseMs, undefined, { signal });
    const now = await look(client, device.id, signal);
    // It is away while it restarts.
    if (now === undefined) continue;
    report(undefined, `${now.state}${now.detail === '' ? '' : `: ${now.detail}`}`);
    // Somebody else may have ordered another one meanwhile; and a client that starts anew has forgotten what it was bringing.
    if (now.release !== '' && now.release !== wanted)
      throw new MblError(
        'cli/update-replaced',
        `${name} speaks of ${now.release} now: another release was ordered, or its client started anew`,
        { remedy: `Look at it with: mbl device read ${name} /33401/0` },
      );
    if (now.state === 'downloaded' && !ordered) {
      ordered = await order(client, device.id, signal);
    } else if (now.state === 'idle' || (now.state === 'downloaded' && now.result === failed))
      return proved(name, now);
  }
  throw new MblError(
    'cli/update-endless',
    `${name} has not said within ${patienceMs / 60_000} minutes how it ended`,
    { remedy: `Look at it with: mbl device read ${name} /5/0` },
  );
}

function proved(name: string, status: Status): Status {
  const { result, detail } = status;
  if (result === success) return status;
  throw new MblError(
    'cli/update-failed',
    `${name} runs what it ran before: ${detail === '' ? `result ${result}` : detail}`,
    { remedy: `What it says: mbl device read ${name} /33401/0` },
  );
}

/** False where the device could not be asked: it is asked again if it still waits for the order. */
async function order(client: ServiceClient, id: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.execute(id, '/5/0/2', undefined, { signal });
    return true;
  } catch (error) {
    if (isAway(error) && !signal.aborted) return false;
    throw error;
  }
}

/** What the service says of a device that restarts, or of a connection that broke meanwhile. */
function isAway(error: unknown): boolean {
  return error instanceof MblError && error.code.startsWith('service/');
}

interface Status {
  readonly state: string;
  readonly result: number;
  readonly release: string;
  readonly detail: string;
}

/** Undefined while the device cannot be asked. */
async function look(client: ServiceClient, id: string, signal: AbortSignal): Promise<Status | undefined> {
  try {
    const values = [
      ...(await client.read(id, '/5/0', { signal })),
      ...(await client.read(id, '/33401/0', { signal })),
    ];
    const value = (path: string) => values.find((one) => one.path === path)?.value;
    const state = states[Number(value('/5/0/3') ?? Number.NaN)];
    // Just started: it does not know yet how its update went.
    if (state === undefined) return undefined;
    return {
      state,
      result: Number(value('/5/0/5')),
      release: String(value('/33401/0/0') ?? ''),
      detail: String(value('/33401/0/1') ?? ''),
    };
  } catch (error) {
    if (isAway(error) && !signal.aborted) return undefined;
    throw error;
  }
}
