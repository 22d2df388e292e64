// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { action, type Define, repeated, verb, wholeNumber } from './define.ts';

const heading = 'Image:';

/** `keys init|show`, `build`. */
export function imageCommands(define: Define): Command[] {
  const { cli } = define;
  const keys = new Command('keys').description('make or show the keys that sign the image');
  keys.addCommand(
    verb('init', 'make the development key set, where there is none').action(
      action(define, async () => (await import('../verbs/keys.ts')).initialiseKeys(cli)),
    ),
  );
  keys.addCommand(
    verb('show', 'list the keys: purpose, kind, fingerprint, where they are').action(
      action(define, async () => (await import('../verbs/keys.ts')).showKeys(cli)),
    ),
  );
  const build = verb('build', 'build a signed image')
    .option('--machine <machine>', 'the kind of board: a file in os/machines', 'qemu-arm64')
    .option('--image <image>', 'the image: a file in os/images', 'development')
    .option('--layer <folder>', "a product's own folder, laid over os/ (repeatable)", repeated, [])
    .option('--explain', 'say why each task ran or did not')
    .option('--update-lock', 'take the newest packages and sources, and write their versions to the lock')
    .option('--offline', 'use only what was downloaded before')
    .option('--jobs <number>', 'how many tasks run at once', wholeNumber(1))
    .action(action(define, async (options) => (await import('../verbs/build.ts')).build(cli, options)));
  return [keys, build].map((command) => command.helpGroup(heading));
}
