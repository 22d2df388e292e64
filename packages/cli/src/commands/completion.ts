// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Cli } from '../cli.ts';
import type { Candidate } from '../completion/complete.ts';
import { choice, rest, verb } from '../verb.ts';

export const completion = verb({
  name: 'completion',
  description: 'print a script that completes mbl commands in a shell',
  json: false,
  arguments: { shell: choice('the shell', ['bash', 'zsh']) },
  more: 'bash  source <(./mbl completion bash)   # in ~/.bashrc, with the full path\nzsh   source <(./mbl completion zsh)    # in ~/.zshrc, after compinit',
  async run({ output, workspace }, { shell }) {
    const { completionScript } = await import('../completion/script.ts');
    output.raw(completionScript(shell, join(workspace.root, 'mbl')));
  },
});

/** What the printed script calls. Prints the candidates for the last word, one a line: value, tab, description. */
export const complete = verb({
  name: 'complete',
  description: 'say what may stand in place of the last word',
  json: false,
  hidden: true,
  arguments: { words: rest('the words typed so far; the last is the one to complete') },
  passThrough: true,
  async run(cli, { words }) {
    const { completeWords } = await import('../completion/complete.ts');
    const { workspaceValues } = await import('../completion/values.ts');
    const { describeProgram } = await import('../program.ts');
    const known = workspaceValues(cli.workspace, (kind) => ofService(cli, kind));
    const found = await completeWords(describeProgram(), words, known);
    if (found === 'folders') cli.output.raw(':folders\n');
    else for (const { value, description = '' } of found) cli.output.raw(`${value}\t${description}\n`);
  },
});

const patience = 1000;

/** What the running service knows, by name; ids are for programs. */
async function ofService(
  { workspace }: Cli,
  kind: 'device' | 'group' | 'release',
): Promise<readonly Candidate[]> {
  const { connectService } = await import('../workbench/service.ts');
  const client = await connectService(workspace);
  const some = { limit: 100, signal: AbortSignal.timeout(patience) };
  if (kind === 'group')
    return (await client.groups.list(some)).map((group) => ({
      value: group.name,
      description: `${group.devices_count} devices`,
    }));
  if (kind === 'release')
    return (await client.releases.list(some)).map(({ name, notes }) => ({
      value: name,
      description: notes.split('\n', 1)[0] ?? '',
    }));
  return (await client.listDevices(some)).map((device) => ({
    value: device.endpoint_name,
    description: device.online ? 'online' : 'offline',
  }));
}
