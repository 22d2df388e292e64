// SPDX-License-Identifier: Apache-2.0
import { Argument, Command } from 'commander';
import { action, boardName, type Define, portForward, repeated, wholeNumber } from './define.ts';

const heading = 'Board:';

/** `run`, `shell`, `logs`. */
export function boardCommands(define: Define): Command[] {
  const { cli } = define;
  const run = new Command('run')
    .description('boot a board with its console here, until Ctrl-] (its power is cut then); its disk is kept')
    .option('--name <name>', 'the board', boardName, 'mbl-board-1')
    .option('--machine <machine>', 'the kind of board', 'qemu-arm64')
    .option('--image <image>', 'the image', 'development')
    .option('--layer <folder>', "a product's own folder, laid over os/ (repeatable)", repeated, [])
    .option('--keys <folder>', 'the key set that signs (default: .mbl/keys)')
    .option(
      '--forward <host:guest>',
      'a port of this machine that leads to a port of the board (repeatable)',
      portForward,
      [],
    )
    .option('--no-service', 'without the device management service: a board made so never enrols')
    .option('--detach', 'leave it running and return')
    .action(action(define, async (options) => (await import('../verbs/run.ts')).run(cli, options)));
  const shell = new Command('shell')
    .description('a shell on a board that runs the development image, or one command there')
    .argument('[name]', 'the board', boardName, 'mbl-board-1')
    .argument('[command...]', 'what to run instead of a shell')
    .passThroughOptions()
    .action(
      action(define, async (_options, name, command) =>
        (await import('../verbs/shell.ts')).shell(cli, name, command),
      ),
    );
  const logs = new Command('logs')
    .description('the log of the service, or of a board')
    .addArgument(new Argument('<source>', 'whose log').choices(['service', 'serial', 'board']))
    .argument('[name]', 'the board', boardName, 'mbl-board-1')
    .option('-f, --follow', 'go on until Ctrl-C')
    .option('-n, --lines <number>', 'how many of the last lines', wholeNumber(0), 50)
    .addHelpText(
      'after',
      '\nservice  what the device management service wrote\nserial   what the board wrote to its serial console\nboard    the journal of a board that runs the development image',
    )
    .action(
      action(define, async (options, source, name) =>
        (await import('../verbs/logs.ts')).logs(cli, source, name, options),
      ),
    );
  return [run, shell, logs].map((command) => command.helpGroup(heading));
}
