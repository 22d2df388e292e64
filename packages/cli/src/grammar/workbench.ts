// SPDX-License-Identifier: Apache-2.0
import { Command, type Command as CommandType } from 'commander';
import { action, boardName, type Define, repeated, verb, wholeNumber } from './define.ts';

const heading = 'Workbench:';

/** `up`, `down`, `status`, `doctor`, `test`. */
export function workbenchCommands(define: Define): CommandType[] {
  const { cli } = define;
  const up = verb(
    'up',
    'make keys, build the image, start the service and a board, wait until the device is online',
  )
    .option('--name <name>', 'the board; another name adds another board', boardName, 'mbl-board-1')
    .option('--machine <machine>', 'the kind of board', 'qemu-arm64')
    .option('--image <image>', 'the image', 'development')
    .option('--layer <folder>', "a product's own folder, laid over os/ (repeatable)", repeated, [])
    .option('--keys <folder>', 'the key set that signs (default: .mbl/keys)')
    .option('--timeout <seconds>', 'how long the device may take to come online', wholeNumber(1), 300)
    .action(action(define, async (options) => (await import('../verbs/up.ts')).up(cli, options)));
  const down = verb('down', 'stop the boards and the service')
    .option('--name <name>', 'stop this board only', boardName)
    .action(action(define, async (options) => (await import('../verbs/down.ts')).down(cli, options)));
  const status = verb('status', 'say what runs, and what was built').action(
    action(define, async () => (await import('../verbs/status.ts')).status(cli)),
  );
  const doctor = verb(
    'doctor',
    'check tools, disk, memory, ports and mirror, and say how to mend what is wrong',
  ).action(action(define, async () => (await import('../verbs/doctor.ts')).doctor(cli)));
  const test = new Command('test')
    .description('check the sources and run the tests: all, unit, system, or the files named')
    .argument('[what...]', 'unit, system, or test files')
    .option('--verbose', 'name every test, not only those that fail')
    .action(
      action(define, async (options, what) => (await import('../verbs/test.ts')).test(cli, options, what)),
    );
  return [up, down, status, doctor, test].map((command) => command.helpGroup(heading));
}
