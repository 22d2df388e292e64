// SPDX-License-Identifier: Apache-2.0
// A process for a test to kill: starts the board in the folder it is given and waits for its end.
import { openBoard } from '../create-board.ts';

const [directory = '', detached] = process.argv.slice(2);
const board = await openBoard(directory);
await board.start({ detached: detached === 'detached' });
process.stdout.write(`${JSON.stringify(board.run)}\n`);
if (detached !== 'detached') setInterval(() => {}, 60_000);
