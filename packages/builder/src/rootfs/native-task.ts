// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../engine/run-command.ts';
import type { Task } from '../task.ts';

/** Where the helper is in the image. */
export const nativePath = 'usr/lib/mbl/mbl-native';

/** No C library and no code of the compiler's own start: what runs is what stands in the folder. */
const flags = [
  ...['-std=c11', '-Os', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-nostdlib', '-static'],
  // Both would ask for a library: a guard for the stack, and memcpy() in place of the loop that is memcpy().
  ...['-fno-stack-protector', '-fno-tree-loop-distribute-patterns', '-fno-asynchronous-unwind-tables'],
  '-Wl,--build-id=none,-z,noexecstack,-z,separate-code,-z,max-page-size=4096',
  '-s',
];

/** `usr/lib/mbl/mbl-native`: what Node cannot do on the device, in C. `source` and those of `include` are folders; absolute. */
export function nativeTask(source: string, include: readonly string[]): Task {
  return {
    name: 'native',
    title: 'Native helper',
    inputs: { flags },
    code: import.meta.filename,
    files: [source, ...include],
    tools: ['compile'],
    async run(context) {
      const target = join(context.out, nativePath);
      await mkdir(join(target, '..'), { recursive: true });
      const files = (await readdir(source)).filter((file) => file.endsWith('.c')).toSorted();
      const folders = include.map((folder) => `-I${folder}`);
      await runCommand('aarch64-linux-gnu-gcc', [...flags, ...folders, '-o', target, ...files], {
        cwd: source,
      });
    },
  };
}
