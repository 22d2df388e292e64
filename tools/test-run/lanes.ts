// SPDX-License-Identifier: Apache-2.0
import type { Suite } from './select.ts';

/**
 * Stories that build, damage what the builder keeps, or read what it says of that: they share its cache with every other build, hence one
 * after the other. All others only boot what is built.
 */
export const buildingStories: ReadonlySet<string> = new Set(
  [
    'archive',
    'attacks-resigned',
    'bad-input',
    'built-in-key',
    'by-hand',
    'cli',
    'compare',
    'hosts',
    'hsm',
    'layer',
  ]
    .concat('offline', 'up', 'update')
    .map((name) => `tests/${name}.story.ts`),
);

/**
 * What takes minutes, the longest first. A run begins with these, so that at its end no lane is left alone with one of them. The order
 * is all that hangs on this list: what it does not name comes behind.
 */
export const longSuites: readonly string[] = [
  ...['packages/service', 'packages/builder', 'packages/lab'],
  ...['recovery', 'update', 'hosts', 'up', 'by-hand', 'firmware-update', 'watchdog', 'device', 'crash']
    .concat('attacks-root', 'hsm', 'compare')
    .concat(
      'apps',
      'app-run',
      'app-hostile',
      'fallback',
      'offline',
      'production',
      'attacks-firmware',
      'slots',
      'layer',
      'built-in-key',
    )
    .map((name) => `tests/${name}.story.ts`),
];

/** The suites in the order in which to begin them. */
export function longestFirst(suites: readonly Suite[]): Suite[] {
  const place = ({ name }: Suite): number => {
    const found = longSuites.indexOf(name);
    return found < 0 ? longSuites.length : found;
  };
  return suites.toSorted((a, b) => place(a) - place(b));
}

/** Parts stories into those that run one after the other and those that may run beside any other, the longest first. */
export function storyLanes(stories: readonly Suite[]): { building: Suite[]; booting: Suite[] } {
  const ordered = longestFirst(stories);
  return {
    building: ordered.filter(({ name }) => buildingStories.has(name)),
    booting: ordered.filter(({ name }) => !buildingStories.has(name)),
  };
}
