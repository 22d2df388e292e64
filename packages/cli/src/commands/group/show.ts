// SPDX-License-Identifier: Apache-2.0
import type { ReleaseOrder } from '@mbl/service';
import { verb } from '../../verb.ts';
import { describeState } from '../device/list.ts';
import { findGroup, groupArgument } from './options.ts';

/** Ids in one question. */
const most = 100;

export const showGroup = verb({
  name: 'show',
  description: 'the devices of a group: what each runs, and how its order stands',
  arguments: { group: groupArgument },
  async run(cli, given) {
    const { output, signal } = cli;
    const { client, group } = await findGroup(cli, given.group);
    const devices = await client.groups.devices(group.id, { signal });
    const orders = new Map<string, ReleaseOrder>();
    for (let from = 0; from < devices.length; from += most) {
      const ids = devices.slice(from, from + most).map(({ id }) => id);
      // Oldest first: the last of each device stays.
      const found = await client.releases.orders({ signal, filter: { device_id__in: ids.join(',') } });
      for (const order of found) orders.set(order.device_id, order);
    }
    output.value({
      ...group,
      devices: devices.map((device) => ({ ...device, order: orders.get(device.id) ?? null })),
    });
    output.line(group.description === '' ? group.name : `${group.name}: ${group.description}`);
    if (devices.length === 0)
      return output.line(`No devices yet. Put one in: ./mbl group add ${group.name} NAME`);
    output.line();
    output.table(
      ['NAME', 'STATE', 'RELEASE', 'ORDER', '', ''],
      devices.map((device) => {
        const order = orders.get(device.id);
        return [
          device.endpoint_name,
          describeState(output, device),
          device.release ?? '-',
          order?.release ?? '-',
          order?.state ?? '',
          order?.sentence ?? '',
        ];
      }),
    );
  },
});
