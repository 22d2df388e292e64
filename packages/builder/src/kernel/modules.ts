// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import type { TarEntry } from '@mbl/blocks';

export interface KernelModule {
  readonly name: string;
  /** The ELF object, not compressed. */
  readonly data: Buffer;
}

/**
 * The named modules and all that they depend on, in an order in which they can be loaded. Names may use `-` or `_`. What is built into
 * the kernel is passed over. Throws `builder/unknown-module`.
 */
export async function modulesInLoadOrder(
  files: readonly TarEntry[],
  names: readonly string[],
): Promise<KernelModule[]> {
  const available = new Map<string, TarEntry>();
  const builtIn = new Set<string>();
  for (const file of files) {
    const name = /\/kernel\/(?:.*\/)?([^/]+)\.ko\.xz$/.exec(file.path)?.[1];
    if (name !== undefined) available.set(canonical(name), file);
    if (file.path.endsWith('/modules.builtin'))
      for (const [, built = ''] of file.data.toString().matchAll(/([^/\n]+)\.ko$/gm))
        builtIn.add(canonical(built));
  }
  const ordered = new Map<string, KernelModule>();
  const visit = async (name: string): Promise<void> => {
    const key = canonical(name);
    if (ordered.has(key) || builtIn.has(key)) return;
    const file = available.get(key);
    if (file === undefined)
      throw new MblError('builder/unknown-module', `the kernel package has no module "${name}"`, {
        remedy: 'Correct the name under kernel in the machine file.',
      });
    const data = await runCommand('xz', ['-dc'], { input: file.data, capture: true });
    for (const needed of dependencies(data)) await visit(needed);
    ordered.set(key, { name: key, data });
  };
  for (const name of names) await visit(name);
  return [...ordered.values()];
}

/** The `depends=` entry of a module's .modinfo section: names, comma separated. */
function dependencies(module: Buffer): string[] {
  const start = module.indexOf('\0depends=');
  if (start < 0) return [];
  const end = module.indexOf('\0', start + 1);
  const list = module.subarray(start + '\0depends='.length, end).toString('latin1');
  return list === '' ? [] : list.split(',');
}

function canonical(name: string): string {
  return name.replaceAll('-', '_');
}
