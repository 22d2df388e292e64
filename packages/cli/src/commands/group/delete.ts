// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { findGroup, groupArgument } from './options.ts';

export const deleteGroup = verb({
  name: 'delete',
  description: 'remove a group; its devices stay, and so do their orders',
  arguments: { group: groupArgument },
  async run(cli, given) {
    const { output, signal } = cli;
    const { client, group } = await findGroup(cli, given.group);
    await client.groups.delete(group.id, { signal });
    output.value({ group: group.id, name: group.name });
    output.line(`The group ${group.name} is gone; its devices stay`);
  },
});
