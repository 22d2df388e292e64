// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Json, Task } from '../task.ts';
import { type CodeFinder, meaningOf } from './code.ts';
import { listTree, treeDigest } from './tree.ts';

/**
 * What a step does, as far as it does not depend on the outputs of others: its inputs, the contents of its files, what its code means,
 * the versions of its tools. Equal on every host and in every folder, and after a change of comments.
 */
export async function definitionOf(
  step: Pick<Task, 'inputs' | 'code' | 'files' | 'tools'>,
  code: CodeFinder,
  tools: Readonly<Record<string, Json>>,
): Promise<Json> {
  const files = await Promise.all((step.files ?? []).map(async (path) => treeDigest(await listTree(path))));
  const packages = join(import.meta.dirname, '../../..');
  return {
    inputs: step.inputs,
    files,
    code: await meaningOf(await code.codeOf(step.code), packages),
    tools: (step.tools ?? []).map((name) => tools[name] ?? null),
  };
}
