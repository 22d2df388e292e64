// SPDX-License-Identifier: Apache-2.0
import type { CatalogueApp, DeviceApps } from '@mbl/service';
import type { Cli, Outcome } from '../../cli.ts';
import type { Output } from '../../output.ts';
import { formatAge, formatSize } from '../../table.ts';
import { optional, value, verb } from '../../verb.ts';

export const listApps = verb({
  name: 'list',
  description: 'which apps are where, or with a device: what it is to have, and how each app does',
  arguments: { device: optional('its id or its endpoint name (default: all devices, counted)') },
  options: { group: value('group', 'what the devices of this group are to have, and how many have it') },
  async run(cli, { device, group }) {
    if (group !== undefined) return await listGroup(cli, group);
    return await (device === undefined ? listCatalogue(cli) : listDevice(cli, device));
  },
});

async function listCatalogue({ output, workspace, signal }: Cli): Outcome {
  const { connectService } = await import('../../workbench/service.ts');
  const client = await connectService(workspace);
  const apps = await client.apps.catalogue({ signal });
  output.value(apps);
  if (apps.length === 0) {
    output.line('No apps on any device yet. Make one: ./mbl app new NAME');
    return;
  }
  output.table(
    ['APP', 'VERSION', 'TEAM', 'DEVICES', 'RUNNING', 'FAILING', 'SINCE', ''],
    apps.map((app) => [
      app.name,
      app.version,
      app.team,
      String(app.devices_count),
      String(app.running_count),
      app.failing_count === 0 ? '0' : output.style('red', String(app.failing_count)),
      formatAge(Date.now() - Date.parse(app.since)),
      namesOf(app),
    ]),
  );
}

function namesOf({ devices, devices_count: count }: CatalogueApp): string {
  const shown = devices.slice(0, 3).map((one) => one.endpoint_name);
  return `${shown.join(', ')}${count > shown.length ? ' …' : ''}`;
}

async function listGroup(cli: Cli, idOrName: string): Outcome {
  const { describeGroup } = await import('../../workbench/deploy-apps.ts');
  const { findGroup } = await import('../group/options.ts');
  const { output, signal } = cli;
  const { client, group } = await findGroup(cli, idOrName);
  const orders = await client.apps.listGroup(group.id, { signal });
  output.value(orders);
  if (orders.length === 0) {
    output.line(
      `No apps are ordered for ${group.name}. As in: ./mbl app deploy TEAM RELEASE --group ${group.name}`,
    );
    return;
  }
  output.table(
    ['TEAM', 'RELEASE', 'DEVICES', ''],
    orders.map((one) => [one.team, one.release, String(one.devices_count), describeGroup(one)]),
  );
}

async function listDevice(cli: Cli, idOrName: string): Outcome {
  const { findDevice } = await import('../../workbench/service.ts');
  const { output, signal } = cli;
  const { client, device } = await findDevice(cli, idOrName);
  const found = await client.apps.ofDevice(device.id, { signal });
  output.value(found);
  if (found.problem !== '') output.line(output.style('red', found.problem));
  if (found.releases.length === 0 && found.apps.length === 0) {
    output.line(
      found.runs_apps === false
        ? `${device.endpoint_name} takes no apps: it has no object 33402`
        : `No apps for ${device.endpoint_name}. As in: ./mbl app deploy TEAM RELEASE --to ${device.endpoint_name}`,
    );
    return;
  }
  tables(output, found);
}

function tables(output: Output, { releases, apps }: DeviceApps): void {
  const state = (text: string) =>
    output.style(
      text === 'running' ? 'green' : /^(fell-back|refused|failed)$/.test(text) ? 'red' : 'yellow',
      text,
    );
  output.table(
    ['TEAM', 'ORDERED', 'RUNS', 'STATE', 'REASON', ''],
    releases.map((one) => [
      one.team,
      one.desired === null ? '-' : `${one.desired.release}${one.desired.group_id === null ? '' : ' (group)'}`,
      one.running ?? '-',
      one.state === null ? '-' : state(one.state),
      one.reason,
      one.sentence,
    ]),
  );
  if (apps.length === 0) return;
  output.line();
  output.table(
    ['APP', 'VERSION', 'TEAM', 'STATE', 'SINCE', 'RESTARTS', 'MEMORY', 'REASON', ''],
    apps.map((app) => [
      app.name,
      app.version,
      app.team,
      state(app.state),
      app.since === null ? '-' : formatAge(Date.now() - Date.parse(app.since)),
      String(app.restarts),
      app.memory === 0 ? '-' : formatSize(app.memory),
      app.reason,
      app.detail,
    ]),
  );
}
