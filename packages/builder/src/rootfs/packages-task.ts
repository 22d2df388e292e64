// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Task } from '../task.ts';
import { readPolicy } from './policy.ts';
import { digests, download, policiesOf, type RootRecipe } from './recipe.ts';
import { storeUnpacked, unpackPackages } from './unpack.ts';

/** The files of all Debian packages and of the layers' own, with what their maintainer scripts would do. */
export function packagesTask(recipe: RootRecipe): Task {
  const { packages, local } = recipe;
  return {
    name: 'packages',
    title: `${packages.length} Debian packages`,
    inputs: { packages: digests(packages), local: digests(local) },
    code: import.meta.filename,
    files: policiesOf(recipe),
    tools: ['image'],
    async run(context) {
      const paths = await download(recipe, context, packages);
      const files = [...packages.map((each) => ({ ...each, file: pathOf(paths, each.name) })), ...local];
      const unpacked = await unpackPackages(files, await readPolicy(policiesOf(recipe)), {
        signal: context.signal,
        progress: (fraction, what) => context.progress(fraction, what),
      });
      await storeUnpacked(unpacked, context.out);
    },
  };
}

function pathOf(paths: ReadonlyMap<string, string>, name: string): string {
  const path = paths.get(name);
  if (path !== undefined) return path;
  throw new MblError('builder/download-missing', `the package ${name} was not fetched`);
}
