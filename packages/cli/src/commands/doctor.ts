// SPDX-License-Identifier: Apache-2.0
import type { Diagnosis } from '../doctor/finding.ts';
import { verb } from '../verb.ts';

const marks = { good: ['✔', 'green'], warning: ['!', 'yellow'], bad: ['✘', 'red'] } as const;

/** Examines the machine. Returns 1 when something is bad enough to keep a command from working. */
export const doctor = verb({
  name: 'doctor',
  description: 'check tools, disk, memory, ports, service and mirror, and say how to mend what is wrong',
  async run({ output, workspace, environment, signal }) {
    const { checkDisk, checkMemory, checkNode, checkPorts } = await import('../doctor/machine.ts');
    const { checkKeys } = await import('../doctor/keys.ts');
    const { checkMirror } = await import('../doctor/mirror.ts');
    const { checkService } = await import('../doctor/service.ts');
    const { checkTools } = await import('../doctor/tools.ts');
    const checks = await output.progress.phase(
      'examine this machine',
      async () =>
        await Promise.all([
          checkTools(environment),
          checkDisk(workspace),
          checkMemory(),
          checkPorts(workspace),
          checkService(workspace, signal),
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
  },
});
