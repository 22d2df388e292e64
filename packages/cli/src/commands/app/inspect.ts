// SPDX-License-Identifier: Apache-2.0
import type { AppDescription } from '@mbl/formats';
import { formatSize } from '../../table.ts';
import { required, verb } from '../../verb.ts';

export const inspectApp = verb({
  name: 'inspect',
  description: 'check the package of an app, and show what it asks for',
  arguments: { package: required('the folder of a package, or the name of an app in build/apps') },
  async run(cli, { package: given }) {
    const { checkPackage } = await import('@mbl/apps');
    const { packageFolder } = await import('../../workbench/apps.ts');
    const { output, signal } = cli;
    const folder = await packageFolder(cli, given);
    const app = await output.progress.phase(
      'read the package',
      async () => await checkPackage(folder, signal),
      () => ({ quiet: true }),
    );
    output.value({ folder, app });
    output.table([], describe(app));
  },
});

/** What an app is and asks for, a line each; what it does not ask for is said too. */
function describe(app: AppDescription): string[][] {
  const { permissions, limits, restart, health, volumes, resources } = app;
  const ports = permissions.ports.map(
    ({ name, port, protocol, published }) => `${name} ${published}→${port}/${protocol}`,
  );
  const bus = [
    ...permissions.bus.talk.map((name) => `talks to ${name}`),
    ...permissions.bus.own.map((name) => `owns ${name}`),
  ];
  return [
    ['app', `${app.name} ${app.release}${app.summary === '' ? '' : `: ${app.summary}`}`],
    ['image', `${formatSize(app.image.size)}, sha256 ${app.image.sha256}`],
    ['fs-verity', app.image.fsVerity],
    ['command', app.command.join(' ')],
    ['user', app.users === 'one' ? 'one of its own' : `${app.user.uid}:${app.user.gid} of several`],
    ['network', permissions.network],
    ['ports', list(ports)],
    ['devices', list(permissions.devices)],
    ['bus', list(bus)],
    [
      'limits',
      `${formatSize(limits.memory)} of memory, ${limits.cpu} % of a core, ${limits.processes} processes, ${formatSize(limits.write)}/s written`,
    ],
    ['restart', `${restart.when}, after ${restart.delay} to ${restart.longest} s`],
    ['health', health === undefined ? 'none' : `${health.command.join(' ')}, every ${health.interval} s`],
    ['volumes', list(volumes.map(({ name, path, size }) => `${name} at ${path}, ${formatSize(size)}`))],
    [
      'resources',
      list(resources.map(({ path, type, operations }) => `${path} ${type} (${operations.join(', ')})`)),
    ],
    ['starts after', list(app.after)],
    ['needs OS', app.os ?? 'any'],
  ];
}

function list(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join('; ');
}
