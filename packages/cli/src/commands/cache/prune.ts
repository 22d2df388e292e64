// SPDX-License-Identifier: Apache-2.0
import type { CacheKind } from '@mbl/builder';
import { join } from 'node:path';
import { formatSize } from '../../table.ts';
import { flag, value, verb } from '../../verb.ts';
import { wholeNumber } from '../../parameters.ts';

const names: Readonly<Record<CacheKind, string>> = {
  outputs: 'outputs of tasks',
  unfinished: 'what stopped builds left',
  logs: 'logs of tasks',
  toolboxes: 'unpacked tools',
  downloads: 'downloads',
};

/** Removes what no build used for a while, from the shared cache and from this working copy's own. */
export const pruneCache = verb({
  name: 'prune',
  description: 'remove what no build used for a while from the cache',
  options: {
    keepDays: value('days', 'keep what was used within so many days', {
      parse: wholeNumber(1),
      fallback: 30,
    }),
    downloads: flag('fetched packages and sources too: a mirror may have them no longer'),
    dryRun: flag('only say what would be removed'),
  },
  async run({ output, workspace, signal }, { keepDays, downloads, dryRun }) {
    const builder = await import('@mbl/builder');
    const kinds: CacheKind[] = [
      'outputs',
      'unfinished',
      'logs',
      'toolboxes',
      ...(downloads ? ['downloads' as const] : []),
    ];
    const folders = [workspace.cache, join(workspace.state, 'build-cache')];
    const removed = await output.progress.phase(
      dryRun ? 'look through the cache' : 'prune the cache',
      async () => {
        const all = [];
        for (const folder of folders) {
          const options = { unusedForMs: keepDays * 86_400_000, kinds, dryRun, signal };
          for (const one of await builder.pruneCache(folder, options)) all.push({ folder, ...one });
        }
        return all;
      },
      () => ({ quiet: true }),
    );
    const bytes = removed.reduce((sum, one) => sum + one.bytes, 0);
    output.value({ keepDays, dryRun, bytes, removed });
    if (removed.length === 0) {
      output.line(`Nothing in the cache is unused for ${keepDays} days.`);
      return;
    }
    output.table(
      ['WHAT', 'NUMBER', 'SIZE', 'WHERE'],
      removed.map((one) => [names[one.kind], String(one.removed), formatSize(one.bytes), one.folder]),
    );
    output.line();
    output.line(`${formatSize(bytes)} ${dryRun ? 'would be freed' : 'freed'}`);
  },
});
