// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Cli, Outcome } from '../../cli.ts';
import { flag, required, value, verb, without } from '../../verb.ts';
import { teamArgument } from './options.ts';

export const deployApps = verb({
  name: 'deploy',
  description: "have a device, or a group, get a release of a team's apps, and follow it until they run",
  arguments: {
    team: teamArgument,
    release: required(
      'its name, or for another server than the service: URL of the repository, a "#" and its name',
    ),
  },
  options: {
    to: value('device', 'the device, by its id or its endpoint name (default: the only one)', {
      conflicts: ['group'],
    }),
    group: value('group', 'each device that is in this group, now or later, by its name or id'),
    follow: flag('follow it until the apps run (what is done anyway)'),
    wait: without('order it and end: the device gets it when it is there'),
  },
  more: `The order stays until another one takes its place, or mbl app remove. A device's own order holds before that of its groups; of two groups, the newer.
How it stands: mbl app list NAME`,
  async run(cli, { team, release, to, group, wait }) {
    return await (group === undefined
      ? deployOne(cli, { team, release, to, wait })
      : deployGroup(cli, { team, release, group, wait }));
  },
});

interface Deployed {
  readonly team: string;
  readonly release: string;
  readonly wait: boolean;
}

async function deployOne(
  cli: Cli,
  { team, release, to, wait }: Deployed & { to: string | undefined },
): Outcome {
  const { chooseDevice, deployApps: deploy, orderApps } = await import('../../workbench/deploy-apps.ts');
  const { output, signal } = cli;
  const { client, device } = await chooseDevice(cli, to);
  const name = device.endpoint_name;
  const options = { client, device, team, release, signal };
  if (!wait) {
    const ordered = await orderApps(options);
    output.value(ordered);
    output.line(`${name} is to have ${team} ${ordered.desired?.release}`);
    output.remark(`How it stands: ./mbl app list ${name}`);
    return 0;
  }
  const done = await output.progress.phase(
    `deploy ${team} to ${name}`,
    async (report) => await deploy({ ...options, report }),
  );
  output.value(done);
  output.line(`${name} runs ${team} ${done.running ?? ''}`);
  output.remark(`What they write: ./mbl app logs APP --on ${name} -f`);
  return 0;
}

async function deployGroup(cli: Cli, { team, release, group, wait }: Deployed & { group: string }): Outcome {
  const { describeGroup, followGroup } = await import('../../workbench/deploy-apps.ts');
  const { sayWhatThereIs, wantedRelease } = await import('../../workbench/bring-release.ts');
  const { findGroup } = await import('../group/options.ts');
  const { output, signal } = cli;
  const found = await findGroup(cli, group);
  const { client } = found;
  const { id, name } = found.group;
  const wanted = wantedRelease(release);
  const made = await client.apps.orderGroup(id, team, wanted, { signal }).catch(sayWhatThereIs(wanted, team));
  if (wait && made.devices_count === 0)
    throw new MblError(
      'cli/empty-group',
      `The group ${name} has no devices; the order is there for those to come.`,
      {
        remedy: `Put one in: ./mbl group add ${name} NAME`,
      },
    );
  if (!wait) {
    output.value(made);
    output.line(`The ${made.devices_count} devices of ${name} are to have ${team} ${made.release}`);
    output.remark(`How it stands: ./mbl app list --group ${name}`);
    return 0;
  }
  const last = await output.progress.phase(
    `deploy ${team} to ${name}`,
    async (report) => await followGroup(client, { id, name }, team, { signal, report }),
  );
  output.value(last);
  if (last.unwell.length > 0)
    output.table(
      ['NAME', 'STATE', 'REASON', ''],
      last.unwell.map((one) => [one.endpoint_name, output.style('red', one.state), one.reason, one.sentence]),
    );
  output.line(`${name}: ${describeGroup(last) || 'nothing to do'}`);
  return last.unwell.length === 0 ? 0 : 1;
}
