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

const patience = 1000;

/** The devices of the running service, by name; ids are for programs. */
async function devices({ workspace }: Cli): Promise<Candidate[]> {
  const { connectService } = await import('../workbench/service-client.ts');
  const client = await connectService(workspace);
  const found = await client.listDevices({ limit: 100, signal: AbortSignal.timeout(patience) });
  return found.map((device) => ({
    value: device.endpoint_name,
    description: device.online ? 'online' : 'offline',
  }));
}
