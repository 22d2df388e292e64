// SPDX-License-Identifier: Apache-2.0
import type { Device, DeviceAppRelease, GroupAppRelease, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import type { Report } from '../progress.ts';
import { formatSize } from '../table.ts';
import { sayWhatThereIs, wantedRelease } from './bring-release.ts';
import { follow } from './follow.ts';
import { connectService } from './service.ts';

/** What ends a release of apps on its way: it runs, or it will not by itself. */
const verdicts: readonly string[] = ['running', 'fell-back', 'refused'];

/** The device that was named, or the only one that there is. Throws `cli/which-device`, `cli/service-stopped`, `service/no-such-device`. */
export async function chooseDevice(
  { workspace, signal }: Cli,
  idOrName: string | undefined,
): Promise<{ client: ServiceClient; device: Device }> {
  const client = await connectService(workspace);
  if (idOrName !== undefined) return { client, device: await client.findDevice(idOrName, { signal }) };
  const devices = await client.listDevices({ signal, limit: 3 });
  const [only] = devices;
  if (only !== undefined && devices.length === 1) return { client, device: only };
  const names = devices.map(({ endpoint_name: name }) => name);
  throw new MblError(
    'cli/which-device',
    `It is not said which device: there are ${names.join(', ') || 'none'}.`,
    {
      remedy: 'Name it. Which there are: ./mbl device list. Start one: ./mbl up',
    },
  );
}

export interface DeployOptions {
  readonly client: ServiceClient;
  readonly device: Device;
  readonly team: string;
  /** Its name, or `<URL of the repository>#<name>`. */
  readonly release: string;
  readonly signal: AbortSignal;
}

/** Has a device get a release of a team's apps. Throws `cli/no-such-release`, and what the service refuses. */
export async function orderApps({
  client,
  device,
  team,
  release,
  signal,
}: DeployOptions): Promise<DeviceAppRelease> {
  const wanted = wantedRelease(release);
  return await client.apps.order(device.id, team, wanted, { signal }).catch(sayWhatThereIs(wanted, team));
}

/** Orders it, and follows that until all its apps run. Throws `cli/apps-failed` where they will not, `cli/update-endless`, and what `orderApps` throws. */
export async function deployApps(
  options: DeployOptions & { readonly report: Report },
): Promise<DeviceAppRelease> {
  const { client, device, team, signal, report } = options;
  const name = device.endpoint_name;
  const first = await orderApps(options);
  const wanted = first.desired?.release;
  const last = await follow({
    look: async () => {
      const { releases } = await client.apps.ofDevice(device.id, { signal });
      return releases.find((one) => one.team === team);
    },
    tell: (now) => {
      if (now === undefined) return;
      const { bytes_fetched: fetched, bytes_to_fetch: all } = now;
      report(all === 0 ? undefined : fetched / all, describeApps(now));
    },
    ended: (now) =>
      now?.desired?.release !== wanted || verdicts.includes(now?.state ?? '') || now?.reason === 'no-apps',
    who: name,
    show: `./mbl app list ${name}`,
    signal,
  });
  if (last?.desired?.release !== wanted)
    throw new MblError('cli/update-replaced', `${name} is not to have ${team} ${wanted} any more.`, {
      remedy: `See what it is to have: ./mbl app list ${name}`,
    });
  if (last?.state === 'running') return last;
  const reason = last?.reason ?? '';
  const why = `${last?.sentence || (last?.state ?? 'gone')}${reason === '' ? '' : ` [${reason}]`}`;
  throw new MblError('cli/apps-failed', `${name} does not run ${team} ${wanted}: ${why}`, {
    remedy: `What it runs: ./mbl app list ${name}. The same release is not tried again by itself: deploy another one.`,
    details: { state: last?.state, reason },
  });
}

/** Follows the order of a group until each device of it has come to a verdict. Throws `cli/update-endless`. */
export async function followGroup(
  client: ServiceClient,
  group: { readonly id: string; readonly name: string },
  team: string,
  { signal, report }: { readonly signal: AbortSignal; readonly report: Report },
): Promise<GroupAppRelease> {
  return await follow({
    look: () => client.apps.ofGroup(group.id, team, { signal }),
    tell: (now) => {
      const all = now.devices_count - now.overruled_count;
      report(all === 0 ? undefined : countVerdicts(now) / all, describeGroup(now));
    },
    ended: (now) => countVerdicts(now) >= now.devices_count - now.overruled_count,
    who: group.name,
    show: `./mbl app list --group ${group.name}`,
    signal,
  });
}

function countVerdicts({ states }: GroupAppRelease): number {
  return verdicts.reduce((sum, state) => sum + (states[state] ?? 0), 0);
}

/** "2 running, 1 fetching, 1 has another order". */
export function describeGroup({ states, overruled_count: others }: GroupAppRelease): string {
  const parts = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  if (others > 0) parts.push(`${others} with another order`);
  return parts.join(', ');
}

/** How a release of apps stands, in a few words. */
export function describeApps({
  state,
  sentence,
  bytes_fetched: fetched,
  bytes_to_fetch: all,
}: DeviceAppRelease): string {
  const bytes = all === 0 ? '' : ` (${formatSize(fetched)} of ${formatSize(all)})`;
  return `${sentence === '' ? (state ?? '') : sentence}${bytes}`;
}
