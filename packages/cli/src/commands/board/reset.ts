// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { board as boardArgument, keyOptions } from '../../parameters.ts';

/** Makes a board anew from the image that it was made of, as the factory would: it enrols again, with a new identity. */
export const resetBoard = verb({
  name: 'reset',
  description: 'make a board that is off anew, as from the factory: its identity and data are lost',
  arguments: { board: boardArgument },
  options: keyOptions,
  async run(cli, { board, keys }) {
    const { checkOff } = await import('@mbl/lab');
    const { findBoard, onlyBoard } = await import('../../workbench/boards.ts');
    const { ensureService, makeBoard } = await import('../../workbench/board-setup.ts');
    const { output, workspace } = cli;
    const old = await findBoard(workspace, await onlyBoard(workspace, board, 'reset'));
    // Before a code is made that nobody would use.
    checkOff(old.directory, old.name);
    const service = await ensureService(cli, { keys });
    const made = await makeBoard(cli, old.name, old.file.imageDirectory, service, { replace: true });
    output.value({ name: made.name, directory: made.directory, buildId: made.file.buildId });
    output.line(`Board ${made.name} is as new. Switch it on: ./mbl up ${made.name}`);
  },
});
