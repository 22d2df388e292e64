// SPDX-License-Identifier: Apache-2.0
import { type Board, openBoard } from '@mbl/lab';
import type { Cli, Outcome } from '../cli.ts';
import { boardFolder, listBoards } from '../workbench/boards.ts';
import { stopDaemon } from '../workbench/service-daemon.ts';

export interface DownOptions {
  name?: string;
}

/** How long a board may take to shut down by itself before its power is cut. */
const shutdown = 45_000;

/** Stops one board, or all boards and the service. What they are stays: the next `up` continues from here. */
export async function down(cli: Cli, { name }: DownOptions): Outcome {
  const { output, workspace, signal } = cli;
  const all =
    name === undefined ? await listBoards(workspace) : [await openBoard(boardFolder(workspace, name))];
  const running = all.filter((board) => board.running);
  const boards = await output.progress.phase(
    running.length === 1 ? `stop board ${running[0]?.name}` : `stop ${running.length} boards`,
    async () => await Promise.all(running.map(async (board) => await stop(board, signal))),
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
}

async function stop(board: Board, signal: AbortSignal): Promise<{ name: string; clean: boolean }> {
  return { name: board.name, clean: await board.quit({ timeoutMs: shutdown, signal }) };
}
