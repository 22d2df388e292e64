// SPDX-License-Identifier: Apache-2.0
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Board, openBoard } from '@mbl/lab';
import { MblError } from '@mbl/trust';
import type { Workspace } from '../workspace.ts';

export function boardFolder(workspace: Workspace, name: string): string {
  return join(workspace.state, 'boards', name);
}

/** What is in a folder of boards: a board, or the reason why it cannot be used. */
export type FoundBoard =
  | { readonly name: string; readonly directory: string; readonly board: Board }
  | { readonly name: string; readonly directory: string; readonly fault: MblError };

/** Every folder of boards, by name. */
export async function examineBoards(workspace: Workspace): Promise<FoundBoard[]> {
  const names = await readdir(join(workspace.state, 'boards')).catch((): string[] => []);
  return await Promise.all(
    names.toSorted().map(async (name) => {
      const directory = boardFolder(workspace, name);
      return await openBoard(directory).then(
        (board) => ({ name, directory, board }),
        (fault: unknown) => {
          if (fault instanceof MblError) return { name, directory, fault };
          throw fault;
        },
      );
    }),
  );
}

/** Every board of the workspace, by name. Those that cannot be used are passed over. */
export async function listBoards(workspace: Workspace): Promise<Board[]> {
  return (await examineBoards(workspace)).flatMap((found) => ('board' in found ? [found.board] : []));
}

/** The board that is meant where none is named: the only one, or the first by name; before there is any, the name of the first. */
export async function boardName(workspace: Workspace, given: string | undefined): Promise<string> {
  return given ?? (await listBoards(workspace))[0]?.name ?? 'mbl-board-1';
}

/** The board of this name, or the one that is meant where none is named. Errors: `lab/unknown-board`. */
export async function findBoard(workspace: Workspace, given: string | undefined): Promise<Board> {
  return await openBoard(boardFolder(workspace, await boardName(workspace, given)));
}

/** The board that a verb takes something away from, by name: where there are several, it has to be named. Errors: `cli/board-unnamed`. */
export async function onlyBoard(
  workspace: Workspace,
  given: string | undefined,
  verb: string,
): Promise<string> {
  const name = await boardName(workspace, given);
  const all = await listBoards(workspace);
  if (given !== undefined || all.length < 2) return name;
  throw new MblError(
    'cli/board-unnamed',
    `There are ${all.length} boards: ${all.map((board) => board.name).join(', ')}.`,
    {
      remedy: `Say which: ./mbl board ${verb} ${name}`,
    },
  );
}

/** Bytes that a folder takes on the disk, in which the holes of sparse files do not count. */
export async function diskUsage(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder, { recursive: true }))
    bytes += (await lstat(join(folder, name))).blocks * 512;
  return bytes;
}
