// SPDX-License-Identifier: Apache-2.0
import { Argument, Command } from 'commander';
import { action, type Define } from './define.ts';

/** `completion bash|zsh`, and the hidden `complete` that the printed script calls. */
export function completionCommands(define: Define, program: () => Command): Command[] {
  const { cli } = define;
  const completion = new Command('completion')
    .description('print a script that completes mbl commands in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      '\nbash  source <(./mbl completion bash)   # in ~/.bashrc, with the full path\nzsh   source <(./mbl completion zsh)    # in ~/.zshrc, after compinit',
    )
    .helpGroup('Workbench:')
    .action(
      action(define, async (_options, shell) =>
        (await import('../verbs/completion.ts')).printCompletion(cli, shell),
      ),
    );
  const complete = new Command('complete')
    .argument('[words...]', 'the words typed so far; the last is the one to complete')
    .passThroughOptions()
    .action(
      action(define, async (_options, words) =>
        (await import('../verbs/completion.ts')).complete(cli, program(), words),
      ),
    );
  return [completion, complete];
}
