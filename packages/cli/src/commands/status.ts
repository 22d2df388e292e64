// SPDX-License-Identifier: Apache-2.0
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Board } from '@mbl/lab';
import type { Device } from '@mbl/service';
import { formatAge } from '../table.ts';
import { verb } from '../verb.ts';
import { keysFolder } from '../workspace.ts';
import { keyOptions } from '../parameters.ts';

/** Says which keys, images, service and boards the workspace has, and what of it runs. */
export const status = verb({
  name: 'status',
  description: 'say what runs, and what was built',
  options: keyOptions,
  async run(cli, { keys: folder }) {
    const { listBoards } = await import('../workbench/boards.ts');
    const { clientOf, findService } = await import('../workbench/service.ts');
    const { output, workspace } = cli;
    const [keys, images, service, boards] = await Promise.all([
      readKeys(keysFolder(workspace, folder)),
      readImages(workspace.build),
      findService(workspace),
      listBoards(workspace),
    ]);
    const devices =
      service === undefined
        ? []
        : await clientOf(service)
            .listDevices({ signal: cli.signal })
            .catch((): Device[] => []);
    const rows = boards.map((board) => describe(board, devices));
    output.value({
      keys,
      images,
      service:
        service === undefined
          ? null
          : {
              pid: service.pid,
              startedAt: service.startedAt,
              http: service.http,
              est: service.est,
              lwm2m: service.lwm2m,
            },
      boards: rows,
    });
    const now = Date.now();
    const age = (time: string) => formatAge(now - Date.parse(time));
    output.table(
      [],
      [
        ['keys', keys === null ? 'none' : `${keys.profile}, ${keys.folder}`],
        ...(images.length === 0
          ? [['images', 'none']]
          : images.map((image) => ['image', `${image.name}, build ${image.buildId}, ${age(image.builtAt)}`])),
        [
          'service',
          service === undefined
            ? 'stopped'
            : `${output.style('green', 'running')}, ${service.http}, started ${age(service.startedAt)}`,
        ],
      ],
    );
    output.line();
    if (rows.length === 0) {
      output.line('No boards yet. Start with: ./mbl up');
      return;
    }
    output.table(
      ['BOARD', 'POWER', 'DEVICE', 'IMAGE', 'BUILD', 'SSH PORT'],
      rows.map((row) => [
        row.name,
        row.running ? output.style('green', 'on') : 'off',
        row.online === null
          ? '-'
          : row.online
            ? output.style('green', 'online')
            : output.style('yellow', 'offline'),
        row.image,
        row.buildId,
        row.sshPort === null ? '-' : String(row.sshPort),
      ]),
    );
  },
});

function describe(board: Board, devices: readonly Device[]) {
  const run = board.run;
  const device = devices.find(({ endpoint_name: name }) => name === board.name);
  return {
    name: board.name,
    running: run !== undefined,
    startedAt: run?.startedAt ?? null,
    machine: board.image.machine,
    image: board.image.image,
    buildId: board.file.buildId,
    sshPort: run?.forwards.find(({ guest }) => guest === 22)?.host ?? null,
    deviceId: device?.id ?? null,
    online: device?.online ?? null,
  };
}

async function readKeys(folder: string): Promise<{ profile: string; folder: string } | null> {
  const { loadKeys } = await import('@mbl/trust');
  return await loadKeys(folder).then(
    ({ profile }) => ({ profile, folder }),
    () => null,
  );
}

async function readImages(build: string) {
  const { readImage } = await import('@mbl/formats');
  const names = await readdir(build).catch((): string[] => []);
  const found = await Promise.all(
    names.toSorted().map(async (name) => {
      try {
        const found = await readImage(join(build, name));
        if (found === undefined) return undefined;
        const { machine, image, buildId } = found;
        const { mtime } = await stat(join(build, name, 'image.json'));
        return { name, machine, image, buildId, builtAt: mtime.toISOString() };
      } catch {
        return undefined;
      }
    }),
  );
  return found.filter((image) => image !== undefined);
}
