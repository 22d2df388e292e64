// SPDX-License-Identifier: Apache-2.0
import type { Device, ReleaseOrder } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli, Outcome } from '../../cli.ts';
import { flag, optional, value, verb, without } from '../../verb.ts';

export const updateDevice = verb({
  name: 'update',
  description: 'order a device, or a group, to go to a release, and follow it until it has proved good',
  arguments: {
    device: optional('the device, by its id or its endpoint name; with --group, the release'),
    release: optional(
      'its name, or for another server than the service: URL of the repository, a "#" and its name',
    ),
  },
  options: {
    group: value('group', 'each device that is in this group now, by its name or id'),
    follow: flag('follow it to its end (what is done anyway)'),
    wait: without('order it and end: the service carries it out when the device is there'),
    cancel: flag('call off the order that runs for the device'),
    ssh: flag('order it at the device, by SSH: a board of the lab, or root@HOST in the place of its name'),
  },
  more: 'The order stays when you stop following it. How it stands: mbl device show NAME',
  async run(cli, { group, wait, cancel, ssh, ...words }) {
    const [first, second] = [words.device, words.release];
    if (cancel) {
      if (first === undefined || second !== undefined || group !== undefined)
        throw usage('An order is called off for one device.', './mbl device update NAME --cancel');
      return await callOff(cli, first);
    }
    if (ssh && (group !== undefined || !wait))
      throw usage(
        'An order by SSH is for one device, and followed.',
        './mbl device update NAME RELEASE --ssh',
      );
    if (group !== undefined) {
      if (first === undefined || second !== undefined)
        throw usage(
          'With a group goes one word: the release.',
          `./mbl device update --group ${group} RELEASE`,
        );
      return await updateGroup(cli, group, first, wait);
    }
    if (first === undefined || second === undefined)
      throw usage('Which device is to go to which release?', './mbl device update NAME RELEASE');
    return await (ssh ? updateOneBySsh(cli, first, second) : updateOne(cli, first, second, wait));
  },
});

function usage(message: string, command: string): MblError {
  return new MblError('cli/no-release', message, {
    remedy: `As in: ${command}. What there is: ./mbl release show`,
  });
}

async function updateOne(cli: Cli, idOrName: string, release: string, wait: boolean): Outcome {
  const { bringRelease, orderRelease } = await import('../../workbench/bring-release.ts');
  const { findDevice } = await import('../../workbench/service.ts');
  const { output, signal } = cli;
  const { client, device } = await findDevice(cli, idOrName);
  const name = device.endpoint_name;
  if (!wait) {
    const { order } = await orderRelease(client, device, release, signal);
    output.value({ device: device.id, release: order.release, order });
    output.line(`${name} is ordered to go to ${order.release}`);
    output.remark(`How it stands: ./mbl device show ${name}`);
    return 0;
  }
  const final = await output.progress.phase(
    `update ${name}`,
    async (report) => await bringRelease({ client, device, release, signal, report }),
  );
  output.value({ device: device.id, ...final });
  output.line(`${name} runs ${final.release}`);
  return 0;
}

/** Needs no service: what is served through the connection is the workspace's own repository. */
async function updateOneBySsh(cli: Cli, name: string, release: string): Outcome {
  const { findBoard } = await import('../../workbench/boards.ts');
  const { updateBySsh } = await import('../../workbench/update-by-ssh.ts');
  const { releasesFolder } = await import('../../workspace.ts');
  const { output, workspace, signal } = cli;
  const ssh = name.includes('@') ? [name] : (await findBoard(workspace, name)).sshArguments();
  const folder = releasesFolder(workspace);
  const done = await output.progress.phase(
    `update ${name} by SSH`,
    async (report) => await updateBySsh({ name, ssh, release, folder, signal, report }),
  );
  output.value({ device: name, release: done.release });
  output.line(`${name} runs ${done.release}`);
  return 0;
}

async function updateGroup(cli: Cli, idOrName: string, release: string, wait: boolean): Outcome {
  const { countStates, followOrders, sayWhatThereIs, wantedRelease } = await import(
    '../../workbench/bring-release.ts'
  );
  const { connectService } = await import('../../workbench/service.ts');
  const { output, signal, workspace } = cli;
  const client = await connectService(workspace);
  const group = await client.groups.find(idOrName, { signal });
  const wanted = wantedRelease(release);
  const made = await client.releases.orderGroup(group.id, wanted, { signal }).catch(sayWhatThereIs(wanted));
  if (made.ordered + made.unchanged === 0)
    throw new MblError('cli/empty-group', `The group ${group.name} has no devices.`, {
      remedy: `Put one in: ./mbl group add ${group.name} NAME`,
    });
  const look = () => client.releases.orders({ signal, filter: { group_order_id__eq: made.id } });
  if (!wait) {
    output.value({ group: group.id, ...made, orders: await look() });
    output.line(`${made.ordered} of ${group.name} are ordered to go to ${made.release}`);
    if (made.unchanged > 0) output.line(`${made.unchanged} were already`);
    output.remark(`How it stands: ./mbl group show ${group.name}`);
    return 0;
  }
  const orders = await output.progress.phase(
    `update ${group.name}`,
    async (report) => await followOrders({ look, who: group.name, signal, report }),
  );
  output.value({ group: group.id, ...made, orders });
  tableOf(cli, await client.groups.devices(group.id, { signal }), orders);
  output.line(`${group.name}: ${countStates(orders) || 'nothing to do'}`);
  if (made.unchanged > 0)
    output.remark(`${made.unchanged} had this order already; how they stand: ./mbl group show ${group.name}`);
  return orders.every(({ state }) => state === 'done') ? 0 : 1;
}

function tableOf({ output }: Cli, devices: readonly Device[], orders: readonly ReleaseOrder[]): void {
  if (orders.length === 0) return;
  const names = new Map(devices.map((device) => [device.id, device.endpoint_name]));
  output.table(
    ['NAME', 'STATE', 'REASON', ''],
    orders.map((order) => [
      names.get(order.device_id) ?? order.device_id,
      output.style(order.state === 'done' ? 'green' : 'red', order.state),
      order.reason,
      order.sentence,
    ]),
  );
}

async function callOff(cli: Cli, idOrName: string): Outcome {
  const { findDevice } = await import('../../workbench/service.ts');
  const { output, signal } = cli;
  const { client, device } = await findDevice(cli, idOrName);
  const { order } = await client.releases.cancel(device.id, { signal });
  output.value({ device: device.id, order });
  output.line(
    order === null || order.state !== 'cancelled'
      ? `No order runs for ${device.endpoint_name}`
      : `${device.endpoint_name} is not sent to ${order.release} any more`,
  );
  return 0;
}
