// SPDX-License-Identifier: Apache-2.0
import { formatSize } from '../../table.ts';
import { verb } from '../../verb.ts';

export const listBoards = verb({
  name: 'list',
  description: 'list the virtual boards',
  async run({ output, workspace }) {
    const boards = await import('../../workbench/boards.ts');
    const found = await boards.listBoards(workspace);
    const rows = await Promise.all(
      found.map(async (board) => ({
        name: board.name,
        running: board.running,
        machine: board.image.machine,
        image: board.image.image,
        buildId: board.file.buildId,
        directory: board.directory,
        bytes: await boards.diskUsage(board.directory),
      })),
    );
    output.value(rows);
    if (rows.length === 0) {
      output.line('No boards yet. Start with: ./mbl up');
      return;
    }
    output.table(
      ['BOARD', 'POWER', 'MACHINE', 'IMAGE', 'BUILD', 'DISK'],
      rows.map((row) => [
        row.name,
        row.running ? output.style('green', 'on') : 'off',
        row.machine,
        row.image,
        row.buildId,
        formatSize(row.bytes),
      ]),
    );
  },
});
