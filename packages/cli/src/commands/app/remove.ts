// SPDX-License-Identifier: Apache-2.0
import { value, verb } from '../../verb.ts';
import { teamArgument } from './options.ts';

export const removeApps = verb({
  name: 'remove',
  description: "end the order for a team's apps: a device gets what its groups are to have, or none of them",
  arguments: { team: teamArgument },
  options: {
    from: value('device', 'the device, by its id or its endpoint name (default: the only one)', {
      conflicts: ['group'],
    }),
    group: value('group', 'the order of this group, by its name or id'),
  },
  more: 'The data of the apps goes with them.',
  async run(cli, { team, from, group }) {
    const { output, signal } = cli;
    if (group !== undefined) {
      const { findGroup } = await import('../group/options.ts');
      const { client, group: found } = await findGroup(cli, group);
      const ended = await client.apps.endGroup(found.id, team, { signal });
      output.value(ended);
      output.line(`The devices of ${found.name} need not have ${team} ${ended.release} any more`);
      return;
    }
    const { chooseDevice } = await import('../../workbench/deploy-apps.ts');
    const { client, device } = await chooseDevice(cli, from);
    const name = device.endpoint_name;
    const now = await client.apps.end(device.id, team, { signal });
    output.value(now);
    const still = now.releases.find((one) => one.team === team)?.desired ?? null;
    output.line(
      still === null
        ? `${name} is to have no apps of ${team}`
        : `${name} is to have ${team} ${still.release}, as a group of it is`,
    );
    output.remark(`How it stands: ./mbl app list ${name}`);
  },
});
