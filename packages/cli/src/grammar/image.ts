// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { action, type Define, repeated, verb, wholeNumber } from './define.ts';

const heading = 'Image:';

/** `keys init|show`, `build`. */
export function imageCommands(define: Define): Command[] {
  const { cli } = define;
  const keys = new Command('keys').description('make or show the keys that sign the image');
  keys.addCommand(
    verb('init', 'make a key set; one that is there is never overwritten')
      .option('--keys <folder>', 'where (default: .mbl/keys)')
      .option('--production', "mark the set as a product's, not as one for development")
      .option(
        '--pkcs11-module <file>',
        'make the private keys in a PKCS#11 token: its module (PIN: MBL_PKCS11_PIN)',
      )
      .option('--token <label>', 'the token')
      .action(
        action(define, async (options) => (await import('../verbs/keys.ts')).initialiseKeys(cli, options)),
      ),
  );
  keys.addCommand(
    verb('show', 'list the keys: name, kind, fingerprint, where they are')
      .option('--keys <folder>', 'the key set (default: .mbl/keys)')
      .action(action(define, async (options) => (await import('../verbs/keys.ts')).showKeys(cli, options))),
  );
  const build = verb('build', 'build a signed image')
    .option('--machine <machine>', 'the kind of board: a file in os/machines', 'qemu-arm64')
    .option('--image <image>', 'the image: a file in os/images', 'development')
    .option('--layer <folder>', "a product's own folder, laid over os/ (repeatable)", repeated, [])
    .option('--keys <folder>', 'the key set that signs (default: .mbl/keys)')
    .option('--explain', 'say why each task ran or did not')
    .option('--update-lock', 'take the newest packages and sources, and write their versions to the lock')
    .option('--jobs <number>', 'how many tasks run at once', wholeNumber(1))
    .action(action(define, async (options) => (await import('../verbs/build.ts')).build(cli, options)));
  return [keys, build].map((command) => command.helpGroup(heading));
}
