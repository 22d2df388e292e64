// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { wrongArchitecture } from '../image/documents.ts';
import type { Spool } from '../layers/spool.ts';
import type { Tree } from './tree.ts';

/** `EM_AARCH64` (ELF for the Arm 64-bit Architecture §5.2). */
const aarch64 = 183;
const machines: Readonly<Record<number, string>> = { 3: '386', 40: 'arm', 62: 'amd64', 243: 'riscv64' };
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Makes sure that the image has the program that a command starts, and that it is one for the device: an ELF file for arm64, or a script whose
 * interpreter is. Throws `apps/no-program`, `apps/wrong-architecture`.
 */
export function checkProgram(
  tree: Tree,
  spool: Spool,
  command: readonly string[],
  environment: readonly string[],
): void {
  let program = command[0] ?? '';
  const asked = program;
  const path = environment.find((one) => one.startsWith('PATH='))?.slice('PATH='.length) ?? defaultPath;
  for (let level = 0; level < 4; level += 1) {
    const candidates = program.includes('/')
      ? [program]
      : path.split(':').map((folder) => `${folder}/${program}`);
    const found = candidates.map((one) => tree.find(one)).find((node) => node?.inode.type === 'file');
    if (found === undefined) throw noProgram(asked, program);
    if ((found.inode.mode & 0o111) === 0)
      throw new MblError('apps/no-program', `The image's ${program} may not be executed.`, {
        remedy: `Make it executable in the image: chmod 755 ${program}`,
      });
    const { offset, size } = found.inode.content;
    const start = spool.read({ offset, size: Math.min(size, 256) });
    if (start.length >= 20 && start.readUInt32BE(0) === 0x7f454c46) {
      const machine = start.readUInt16LE(18);
      if (machine !== aarch64)
        throw wrongArchitecture([
          { os: 'linux', architecture: machines[machine] ?? `ELF machine ${machine}`, variant: '' },
        ]);
      return;
    }
    const interpreter = /^#! *([^\s]+)/.exec(start.toString('latin1'))?.[1];
    // Another format: whether the kernel takes it the device will see.
    if (interpreter === undefined) return;
    program = interpreter;
  }
}

function noProgram(asked: string, program: string): MblError {
  return new MblError(
    'apps/no-program',
    asked === program
      ? `The image has no program ${program}.`
      : `The image has no ${program}, which ${asked} is a script for.`,
    { remedy: 'Correct "command" in app.yaml, or the ENTRYPOINT of the image.' },
  );
}
