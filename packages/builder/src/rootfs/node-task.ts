// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Task } from '../task.ts';
import { fetchNode } from './node-runtime.ts';
import type { RootRecipe } from './recipe.ts';

/** `usr/bin/node`: the pinned Node for the device. */
export function nodeTask({ cache, node }: RootRecipe): Task {
  return {
    name: 'node',
    title: `Node ${node.version}`,
    inputs: { node: `${node.name} ${node.version} ${node.integrity}` },
    code: import.meta.filename,
    tools: ['image'],
    async run(context) {
      const program = await fetchNode(cache, node, context.work, {
        log: (line) => context.log(line),
        progress: (fraction, what) => context.progress(fraction, what),
        signal: context.signal,
      });
      const folder = join(context.out, 'usr/bin');
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'node'), program, { mode: 0o755 });
    },
  };
}
