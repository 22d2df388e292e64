// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import type { ServiceClient } from '@mbl/service';
import { device as deviceArgument } from '../../parameters.ts';
import { required, verb } from '../../verb.ts';

/** LwM2M Core 1.1 Appendix E.6, resources 3 and 5. */
const states = ['idle', 'downloading', 'downloaded', 'updating'];
const success = 1;

const pauseMs = 2000;
/** Longer than three starts in vain and the verdict on each. */
const patienceMs = 45 * 60_000;

export const updateDevice = verb({
  name: 'update',
  description: 'bring a release of the operating system to a device, and wait until it has proved good',
  arguments: {
    device: deviceArgument,
    release: required(
      'its name, or for another server than the service: URL of the repository, a "#" and its name',
    ),
  },
  async run(cli, { release, ...given }) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    const name = device.endpoint_name;
    const uri = release.includes('#') ? release : `#${release}`;
    await client.write(device.id, '/5/0/1', uri, { signal });
    const wanted = release.slice(release.indexOf('#') + 1);
    /** Somebody else may have ordered another one meanwhile; and a client that starts anew has forgotten what it was bringing. */
    const assertOurs = (now: Status): void => {
      if (now.release === '' || now.release === wanted) return;
      throw new MblError(
        'cli/update-replaced',
        `${name} speaks of ${now.release} now: another release was ordered, or its client started anew`,
        {
          remedy: `Look at it with: mbl device read ${name} /33401/0`,
        },
      );
    };
    const final = await output.progress.phase(`update ${name}`, async (report) => {
      const until = performance.now() + patienceMs;
      let ordered = false;
      while (performance.now() < until) {
        await sleep(pauseMs, undefined, { signal });
        const now = await look(client, device.id, signal);
        // It is away while it restarts.
        if (now === undefined) continue;
        report(undefined, `${now.state}${now.detail === '' ? '' : `: ${now.detail}`}`);
        assertOurs(now);
        if (now.state === 'downloaded' && !ordered) {
          ordered = await order(client, device.id, signal);
        } else if (now.state === 'idle') return now;
      }
      throw new MblError(
        'cli/update-endless',
        `${name} has not said within ${patienceMs / 60_000} minutes how it ended`,
        {
          remedy: `Look at it with: mbl device read ${name} /5/0`,
        },
      );
    });
    if (final.result !== success)
      throw new MblError(
        'cli/update-failed',
        `${name} runs what it ran before: ${final.detail === '' ? `result ${final.result}` : final.detail}`,
        {
          remedy: `What it says: mbl device read ${name} /33401/0`,
        },
      );
    output.value({ device: device.id, release: final.release });
    output.line(`${name} runs ${final.release}`);
  },
});

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
