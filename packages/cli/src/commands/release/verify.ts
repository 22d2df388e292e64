// SPDX-License-Identifier: Apache-2.0
import type { AcceptedApp, AcceptedComponent, Board } from '@mbl/releases';
import { wholeNumber } from '../../parameters.ts';
import { formatSize } from '../../table.ts';
import { oneOf, optional, value, verb } from '../../verb.ts';
import { time } from './options.ts';

export const verifyRelease = verb({
  name: 'verify',
  description: 'check a repository as a device would: signatures, terms, every byte',
  arguments: { repository: optional('its folder, or its address (default: .mbl/releases)') },
  options: {
    root: value(
      'file',
      "the root that the device was born with (default: the first one of the workspace's own repository)",
    ),
    release: value('name', 'only this release, for one board (default: all of them, each for its machines)'),
    team: value('team', 'whose release', { fallback: 'os' }),
    machine: value('machine', 'the kind of board that would install it', { fallback: 'qemu-arm64' }),
    boardKeys: oneOf(
      'keys',
      'what the keys are for that the board trusts',
      ['development', 'production'],
      'development',
    ),
    rollbackIndex: value('number', 'the index that the board accepted before', {
      parse: wholeNumber(0),
      fallback: 0,
    }),
    at: value('time', 'the time by the clock of the device (default: now)', { parse: time }),
    state: value('folder', 'keep here what was seen, and refuse what is older next time'),
  },
  async run(cli, given) {
    const { readFile } = await import('node:fs/promises');
    const { join } = await import('node:path');
    const { appMachine, osTeam } = await import('@mbl/formats');
    const { MblError } = await import('@mbl/trust');
    const {
      acceptApps,
      acceptRelease,
      checkApp,
      checkComponent,
      Client,
      folderSource,
      folderStore,
      httpSource,
      listReleases,
      memoryStore,
    } = await import('@mbl/releases');
    const { repositoryFolder } = await import('../../workbench/releases.ts');
    const { output, signal } = cli;
    const { team, machine, boardKeys, rollbackIndex } = given;
    const path = given.root ?? join(repositoryFolder(cli, undefined), 'metadata', '1.root.json');
    const root = await readFile(path).catch((cause: unknown) => {
      throw new MblError(
        'cli/no-root',
        `${path} cannot be read: a device is born with a root, and believes nothing else.`,
        {
          remedy: 'Name it with: --root FILE',
          cause,
        },
      );
    });
    const remote = /^https?:\/\//.test(given.repository ?? '');
    const place = remote ? (given.repository ?? '') : repositoryFolder(cli, given.repository);
    const client = await Client.open({
      root,
      source: remote ? httpSource(place, signal) : folderSource(place, signal),
      store: given.state === undefined ? memoryStore() : folderStore(given.state),
      now: given.at ?? new Date(),
    });
    const accepted =
      given.release === undefined
        ? await all()
        : [
            await acceptRelease(
              client,
              { team, name: given.release },
              { machine: team === osTeam ? machine : appMachine, keys: boardKeys, rollbackIndex },
            ),
          ];
    const components = new Map<string, AcceptedComponent>();
    for (const one of accepted) for (const part of one.components) components.set(part.target.path, part);
    const apps = new Map<string, AcceptedApp>();
    for (const { release } of accepted) {
      if (release.team === osTeam) continue;
      for (const app of (await acceptApps(client, release, { keys: release.keys, rollbackIndex })).apps)
        apps.set(app.target.path, app);
    }
    const total = [...components.values()].reduce(
      (sum, { target, payload }) => sum + target.length + (payload?.length ?? 0),
      0,
    );
    await output.progress.phase(`read ${components.size} components`, async (report) => {
      let done = 0;
      for (const [path, part] of components) {
        const app = apps.get(path);
        const onBytes = (size: number) => report((done += size) / total, part.component.file);
        if (app === undefined) await checkComponent(client, part, onBytes);
        else await checkApp(client, app, onBytes);
      }
    });
    const { signed } = client.trusted.root;
    output.value({
      repository: place,
      root: signed.version,
      timestamp: client.trusted.requireTimestamp().signed.version,
      expires: client.trusted.requireTimestamp().signed.expires,
      releases: accepted.map(({ release, image }) => ({
        team: release.team,
        name: release.name,
        machine: image.machine,
        keys: release.keys,
        rollbackIndex: release.rollbackIndex,
      })),
      components: components.size,
      bytes: total,
    });
    for (const { release, image } of accepted)
      output.line(
        `${release.team} ${release.name} for ${image.machine}: a board with ${release.keys} keys would install it`,
      );
    output.line(`${components.size} components, ${formatSize(total)}: each is what was signed`);

    async function all() {
      const found = [];
      for (const { release } of await listReleases(client))
        for (const image of release.images) {
          const board: Board = { machine: image.machine, keys: release.keys, rollbackIndex };
          found.push(await acceptRelease(client, release, board));
        }
      return found;
    }
  },
});
