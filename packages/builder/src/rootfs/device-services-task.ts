// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Task } from '../task.ts';
import { bundleServices, SERVICES } from './bundles.ts';
import { type RootRecipe, writeFiles } from './recipe.ts';

/** The device's services: a change of what they are made of makes new bundles, and nothing but the root follows. */
export function deviceServicesTask({ repository }: RootRecipe): Task {
  return {
    name: 'device-services',
    title: 'Device services',
    inputs: {},
    code: [import.meta.filename, ...Object.values(SERVICES).map((path) => join(repository, path))],
    async run(context) {
      await writeFiles(context.out, await bundleServices(repository));
    },
  };
}
