// SPDX-License-Identifier: Apache-2.0
import { flag, values, verb, without } from '../verb.ts';
import { board as boardArgument, imageOptions, portForward } from '../parameters.ts';

/** Boots a board and puts the terminal on its serial console. */
export const run = verb({
  name: 'run',
  description: 'boot a board with its console here, until Ctrl-] (its power is cut then); its disk is kept',
  json: false,
  arguments: { board: boardArgument },
  options: {
    ...imageOptions,
    forward: values('host:guest', 'a port of this machine that leads to a port of the board', portForward),
    service: without('without the device management service: a board made so never enrols'),
    detach: flag('leave it running and return'),
  },
  async run(cli, options) {
    const { attachConsole } = await import('@mbl/lab');
    const { MblError } = await import('@mbl/trust');
    const { boardName } = await import('../workbench/boards.ts');
    const { ensureBoard, ensurePower, ensureService } = await import('../workbench/board-setup.ts');
    const { buildImage } = await import('../workbench/image.ts');
    const { output, workspace, signal } = cli;
    const { detach: detached, forward: ports } = options;
    const image = await buildImage(cli, options);
    const service = options.service ? await ensureService(cli, options) : undefined;
    await using board = await ensureBoard(cli, await boardName(workspace, options.board), image, service);
    const { name } = board;
    if (!(await ensurePower(cli, board, { detached, ports })) && ports.length > 0) {
      throw new MblError(
        'cli/board-running',
        `Board ${name} runs already, and its ports are what they are.`,
        {
          remedy: `Stop it first: ./mbl down ${name}`,
        },
      );
    }
    if (detached) {
      output.line(`Board ${name} runs. Its console: ./mbl run ${name}; stop it: ./mbl down ${name}`);
      return;
    }
    output.remark(`The console of ${name}; Ctrl-] leaves it.`);
    const ended = await attachConsole(board, { input: process.stdin, output: process.stdout, signal });
    signal.throwIfAborted();
    output.remark(`\n${ended === 'stopped' ? `Board ${name} switched itself off.` : 'Left the console.'}`);
  },
});
