// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Cli, Outcome } from '../cli.ts';
import { type Candidate, completeWords } from '../completion/complete.ts';
import { completionScript } from '../completion/script.ts';
import { workspaceValues } from '../completion/values.ts';

/** Prints the script for `source <(mbl completion bash)`. */
export async function printCompletion(cli: Cli, shell: 'bash' | 'zsh'): Outcome {
  cli.output.raw(completionScript(shell, join(cli.workspace.root, 'mbl')));
}

/** Prints the candidates for the last word, one a line: value, tab, description. */
export async function complete(cli: Cli, program: Command, words: readonly string[]): Outcome {
  const found = await completeWords(
    program,
    words,
    workspaceValues(cli.workspace, () => devices(cli)),
  );
  if (found === 'folders') cli.output.raw(':folders\n');
  else for (const { value, description = '' } of found) cli.output.raw(`${value}\t${description}\n`);
}

async function devices(_cli: Cli): Promise<Candidate[]> {
  return [];
}
