// SPDX-License-Identifier: Apache-2.0
import type { Suite } from './select.ts';

/**
 * Stories that build, damage what the builder keeps, or read what it says of that: they share its cache with every other build, hence one
 * after the other. All others only boot what is built.
 */
export const buildingStories: ReadonlySet<string> = new Set(
  ['archive', 'attacks-resigned', 'bad-input', 'built-in-key', 'cli', 'compare', 'hosts', 'hsm', 'layer']
    .concat('offline', 'up', 'update')
    .map((name) => `tests/${name}.story.ts`),
);

/** Parts stories into those that run one after the other and those that may run beside any other, in their order. */
export function storyLanes(stories: readonly Suite[]): { building: Suite[]; booting: Suite[] } {
  return {
    building: stories.filter(({ name }) => buildingStories.has(name)),
    booting: stories.filter(({ name }) => !buildingStories.has(name)),
  };
}
