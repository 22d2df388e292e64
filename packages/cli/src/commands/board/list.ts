// SPDX-License-Identifier: Apache-2.0
import { formatSize } from '../../table.ts';
import { verb } from '../../verb.ts';

export const listBoards = verb({
  name: 'list',
  description: 'list the virtual boards',
  async run({ output, workspace }) {
    const boards = await import('../../workbench/boards.ts');
    const rows = await Promise.all(
      (await boards.examineBoards(workspace)).map(async ({ name, directory, ...found }) => ({
        name,
        directory,
        bytes: await boards.diskUsage(directory),
        ...('board' in found
          ? {
              running: found.board.running,
              machine: found.board.image.machine,
              image: found.board.image.image,
              buildId: found.board.file.buildId,
            }
          : { damaged: found.fault.message }),
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
        ...('damaged' in row
          ? [output.style('red', 'damaged'), '-', '-', '-']
          : [row.running ? output.style('green', 'on') : 'off', row.machine, row.image, row.buildId]),
        formatSize(row.bytes),
      ]),
    );
    for (const row of rows)
      if ('damaged' in row)
        output.remark(`${row.name}: ${row.damaged} Remove it: ./mbl board remove ${row.name}`);
  },
});
