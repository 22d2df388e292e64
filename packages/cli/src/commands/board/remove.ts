// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { board as boardArgument } from '../../parameters.ts';

/** Removes a board that is off: its flash, disk, identity and logs. What the directory knows of its device stays. */
export const removeBoard = verb({
  name: 'remove',
  description: 'remove a board that is off, with its disk, identity and logs',
  arguments: { board: boardArgument },
  async run({ output, workspace }, given) {
    const lab = await import('@mbl/lab');
    const { boardFolder, onlyBoard } = await import('../../workbench/boards.ts');
    const name = await onlyBoard(workspace, given.board, 'remove');
    const directory = boardFolder(workspace, name);
    await lab.removeBoard(directory);
    output.value({ name, directory });
    output.line(`Board ${name} is gone. Its device is still in the directory: ./mbl device delete ${name}`);
  },
});
