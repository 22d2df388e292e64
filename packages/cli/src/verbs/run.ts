// SPDX-License-Identifier: Apache-2.0
import { attachConsole, type PortForward } from '@mbl/lab';
import { MblError } from '@mbl/trust';
import type { Cli, Outcome } from '../cli.ts';
import { type BoardOptions, ensureBoard, ensurePower, ensureService } from '../workbench/board-setup.ts';
import { buildImage } from '../workbench/image.ts';

export interface RunOptions extends BoardOptions {
  readonly forward: readonly PortForward[];
  readonly service: boolean;
  readonly detach?: boolean;
}

/** Boots a board and puts the terminal on its serial console. */
export async function run(cli: Cli, options: RunOptions): Outcome {
  const { output, signal } = cli;
  const image = await buildImage(cli, options);
  const service = options.service ? await ensureService(cli, options) : undefined;
  const detached = options.detach === true;
  await using board = await ensureBoard(cli, options.name, image, service);
  if (!(await ensurePower(cli, board, { detached, ports: options.forward })) && options.forward.length > 0) {
    throw new MblError(
      'cli/board-running',
      `Board ${board.name} runs already, and its ports are what they are.`,
      {
        remedy: `Stop it first: ./mbl down --name ${board.name}`,
      },
    );
  }
  if (detached) {
    output.line(
      `Board ${board.name} runs. Its console: ./mbl run --name ${board.name}; stop it: ./mbl down --name ${board.name}`,
    );
    return;
  }
  output.remark(`The console of ${board.name}; Ctrl-] leaves it.`);
  const ended = await attachConsole(board, { input: process.stdin, output: process.stdout, signal });
  signal.throwIfAborted();
  output.remark(
    `\n${ended === 'stopped' ? `Board ${board.name} switched itself off.` : 'Left the console.'}`,
  );
}
