// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { loginRefused } from '../key-profile.ts';
import type { Json, TaskContext } from '../task.ts';
import { readPolicy } from './policy.ts';
import { policiesOf, type RootRecipe } from './recipe.ts';
import type { RootParts } from './root.ts';
import type { Tree } from './tree.ts';
import { loadUnpacked } from './unpack.ts';
import { waysIn } from './ways-in.ts';

/** The tasks that bring the files of a root, beside those that sign. */
export const composed = ['packages', 'kernel-modules', 'device-services', 'native', 'confinement', 'node'];

/** What decides how a root is put together, beside files and tasks. */
export function composition({ image, profile }: RootRecipe): { readonly [key: string]: Json } {
  const { hostname, services, users, login } = image;
  const people = users.map(({ home = '', shell = '', ...rest }) => ({ ...rest, home, shell }));
  return { hostname, services, login, users: people, profile };
}

const ownFolders = ({ osDirectory }: RootRecipe): string[] =>
  ['base', 'device'].map((name) => join(osDirectory, 'rootfs', name));

/** The files that a root is put together from, beside the outputs of tasks. */
export const compositionFiles = (recipe: RootRecipe): string[] => [
  ...policiesOf(recipe),
  ...ownFolders(recipe),
  ...recipe.image.files,
];

/** The parts of a root, from the outputs of `tasks`. For production keys they are refused if they let somebody in. */
export async function partsOf(
  recipe: RootRecipe,
  context: TaskContext,
  tasks: readonly string[],
  files: RootParts['files'] = new Map(),
): Promise<RootParts> {
  const { image, profile } = recipe;
  const { hostname, services, users, login } = image;
  return {
    unpacked: await loadUnpacked(context.need('packages')),
    policy: await readPolicy(policiesOf(recipe)),
    folders: [
      ...ownFolders(recipe),
      ...tasks.filter((name) => name !== 'packages').map((name) => context.need(name)),
      ...image.files,
    ],
    files,
    hostname,
    services,
    users,
    login,
    judge: profile === 'production' ? refuseWaysIn : undefined,
  };
}

function refuseWaysIn(tree: Tree): void {
  const reasons = waysIn(tree).map(({ path, from, what }) => `${path} (${from}) ${what}`);
  if (reasons.length > 0) throw loginRefused(reasons);
}
