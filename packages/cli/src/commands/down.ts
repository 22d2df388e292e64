// SPDX-License-Identifier: Apache-2.0
import { optional, verb } from '../verb.ts';
import { endpointName } from '../parameters.ts';

/** How long a board may take to shut down by itself before its power is cut. */
const shutdown = 45_000;

/** Stops one board, or all boards and the service. What they are stays: the next `up` continues from here. */
export const down = verb({
  name: 'down',
  description: 'stop the boards and the service',
  arguments: { board: optional('stop this board only', endpointName) },
  async run({ output, workspace, signal }, { board: name }) {
    const { findBoard, listBoards } = await import('../workbench/boards.ts');
    const { stopDaemon } = await import('../workbench/service.ts');
    const all = name === undefined ? await listBoards(workspace) : [await findBoard(workspace, name)];
    const running = all.filter((board) => board.running);
    const boards = await output.progress.phase(
      running.length === 1 ? `stop board ${running[0]?.name}` : `stop ${running.length} boards`,
      async () =>
        await Promise.all(
          running.map(async (board) => ({
            name: board.name,
            clean: await board.quit({ timeoutMs: shutdown, signal }),
          })),
        ),
      (stopped) => {
        const cut = stopped.filter(({ clean }) => !clean).map((board) => board.name);
        return {
          quiet: running.length === 0,
          ...(cut.length === 0 ? {} : { note: `power cut: ${cut.join(', ')}` }),
        };
      },
    );
    const service =
      name === undefined &&
      (await output.progress.phase(
        'stop the service',
        async () => await stopDaemon(workspace, signal),
        (stopped) => ({ quiet: !stopped }),
      ));
    output.value({ boards, service });
    if (boards.length === 0 && !service)
      output.line(name === undefined ? 'Nothing was running.' : `Board ${name} was off.`);
  },
});
