// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '../table.ts';
import { flag, value, verb } from '../verb.ts';
import { board as boardArgument, imageOptions, wholeNumber } from '../parameters.ts';

/**
 * Everything between a clone and a device that is online with the present build; what is there already is left as it is. A board that has
 * another build gets this one over the air.
 */
export const up = verb({
  name: 'up',
  description: 'make keys, build the image, start the service and a board, wait until the device runs it',
  arguments: { board: boardArgument },
  options: {
    ...imageOptions,
    timeout: value('seconds', 'how long the device may take to come online', {
      parse: wholeNumber(1),
      fallback: 300,
    }),
    reflash: flag('flash the board that is there, in the place of updating it over the air'),
  },
  more: 'A name that no board has yet makes another board: ./mbl up mbl-board-2',
  async run(cli, options) {
    const { adoptBuild } = await import('@mbl/lab');
    const { loadKeys } = await import('@mbl/trust');
    const { boardName } = await import('../workbench/boards.ts');
    const { ensurePower, ensureService, flashBoard, makeBoard, presentBoard } = await import(
      '../workbench/board-setup.ts'
    );
    const { buildImage } = await import('../workbench/image.ts');
    const { clientOf } = await import('../workbench/service.ts');
    const { orReflash, requireUpdatable, runningBuild, updateBoard } = await import(
      '../workbench/update-board.ts'
    );
    const { waitOnline } = await import('../workbench/wait-online.ts');
    const { keysFolder } = await import('../workspace.ts');
    const { output, workspace, signal, environment } = cli;
    const start = performance.now();
    const build = await buildImage(cli, options);
    const { buildId } = build.description;
    const service = await ensureService(cli, options);
    const client = clientOf(service);
    const name = await boardName(workspace, options.board);
    const present = await presentBoard(cli, name);
    const old = present !== undefined && !options.reflash;
    if (old && present.file.buildId !== buildId) await requireUpdatable(present, build);
    let board =
      present === undefined
        ? await makeBoard(cli, name, build.directory, service)
        : options.reflash
          ? await flashBoard(cli, present, build)
          : present;
    const since = new Date();
    const wasOff = await ensurePower(cli, board, { detached: true });
    const online = async () =>
      await output.progress.phase(
        'wait until the device is online',
        async (report) =>
          await waitOnline(client, board, {
            timeoutMs: options.timeout * 1000,
            signal,
            report,
            since: wasOff ? since : undefined,
          }),
      );
    let device = old ? await orReflash(name, online) : await online();
    const running = old ? ((await runningBuild(client, device, signal)) ?? board.file.buildId) : buildId;
    if (running !== buildId) {
      const keys = await loadKeys(keysFolder(workspace, options.keys), { environment: { ...environment } });
      board = await updateBoard(cli, board, { build, keys, client, device });
      device = await client.findDevice(device.id, { signal });
    } else if (board.file.buildId !== buildId) board = await adoptBuild(board, build.directory, { signal });
    const milliseconds = Math.round(performance.now() - start);
    output.value({
      device,
      board: {
        name: board.name,
        directory: board.directory,
        buildId: board.file.buildId,
        image: board.image.image,
      },
      service: { http: service.http, est: service.est, lwm2m: service.lwm2m },
      milliseconds,
    });
    output.line();
    output.table(
      ['DEVICE', 'NAME', 'STATE', 'IMAGE', 'BUILD'],
      [
        [
          device.id,
          device.endpoint_name,
          output.style('green', 'online'),
          board.image.image,
          board.file.buildId,
        ],
      ],
    );
    output.line();
    output.line(`Online after ${formatDuration(milliseconds)}. What to try next:`);
    output.table(
      [],
      [
        [`  ./mbl device show ${name}`, 'all that the directory knows of it'],
        [`  ./mbl device read ${name} /3/0/3`, 'ask it for its firmware version'],
        [`  ./mbl device watch ${name} /3/0/10`, 'its free memory, each time it changes'],
        ...(board.image.image === 'development' ? [[`  ./mbl shell ${name}`, 'a shell on it']] : []),
        [`  ./mbl logs serial ${name}`, 'its boot, from the first line'],
        [`  ./mbl up ${nextName(name)}`, 'another one beside it'],
        ['  ./mbl down', 'stop everything'],
      ],
    );
  },
});

/** `mbl-board-1` gives `mbl-board-2`, a name without a number at its end gets one. */
function nextName(name: string): string {
  const [, stem = name, number = '1'] = /^(.*?)-?(\d{1,9})?$/.exec(name) ?? [];
  return `${stem}-${Number(number) + 1}`;
}
