// SPDX-License-Identifier: Apache-2.0
import type { Cli, Outcome } from '../../cli.ts';
import { required, verb } from '../../verb.ts';
import { findGroup, groupArgument } from './options.ts';

const words = { group: groupArgument, member: required('the device, by its id or its endpoint name') };

export const addToGroup = verb({
  name: 'add',
  description: 'put a device into a group',
  arguments: words,
  run: async (cli, given) => await move(cli, given, 'add'),
});

export const removeFromGroup = verb({
  name: 'remove',
  description: 'take a device out of a group',
  arguments: words,
  run: async (cli, given) => await move(cli, given, 'remove'),
});

async function move(
  cli: Cli,
  given: { readonly group: string; readonly member: string },
  direction: 'add' | 'remove',
): Outcome {
  const { output, signal } = cli;
  const { client, group } = await findGroup(cli, given.group);
  const device = await client.findDevice(given.member, { signal });
  await client.groups[direction](group.id, device.id, { signal });
  output.value({ group: group.id, device: device.id, member: direction === 'add' });
  output.line(`${device.endpoint_name} is ${direction === 'add' ? '' : 'not '}in ${group.name}`);
}
