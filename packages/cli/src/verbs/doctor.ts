// SPDX-License-Identifier: Apache-2.0
import type { Cli, Outcome } from '../cli.ts';
import type { Diagnosis } from '../doctor/finding.ts';
import { checkKeys } from '../doctor/keys.ts';
import { checkDisk, checkMemory, checkNode, checkPorts } from '../doctor/machine.ts';
import { checkMirror } from '../doctor/mirror.ts';
import { checkTools } from '../doctor/tools.ts';

const marks = { good: ['✔', 'green'], warning: ['!', 'yellow'], bad: ['✘', 'red'] } as const;

/** Examines the machine. Returns 1 when something is bad enough to keep a command from working. */
export async function doctor(cli: Cli): Outcome {
  const { output, workspace, environment, signal } = cli;
  const checks = await output.progress.phase(
    'examine this machine',
    async () =>
      await Promise.all([
        checkTools(environment),
        checkDisk(workspace),
        checkMemory(),
        checkPorts(workspace),
        checkMirror(environment, signal),
        checkKeys(workspace, signal),
      ]),
    () => ({ quiet: true }),
  );
  const found: Diagnosis[] = [checkNode(), ...checks.flat()];
  const bad = found.filter(({ state }) => state === 'bad').length;
  output.value({ healthy: bad === 0, findings: found });
  for (const { what, state, found: text, remedy } of found) {
    const [mark, style] = marks[state];
    output.line(`${output.style(style, mark)} ${what}: ${text}`);
    if (remedy !== undefined) output.line(`    ${remedy}`);
  }
  return bad === 0 ? 0 : 1;
}
