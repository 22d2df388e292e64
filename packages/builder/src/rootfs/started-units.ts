// SPDX-License-Identifier: Apache-2.0
import type { Tree } from './tree.ts';
import { type Unit, unitEntries } from './unit-files.ts';

/** Settings whose value names units that start with, after or instead of this one. */
const pulling = new Set([
  ...['Wants', 'Requires', 'BindsTo', 'Upholds', 'OnFailure', 'OnSuccess'],
  ...['Unit', 'Service', 'Sockets'],
]);

const named = /[A-Za-z0-9:_.@\\-]+\.(?:service|socket|timer|path|target)\b/g;

/**
 * The units that something in the tree may start: a link in a `.wants` folder, a setting of another unit, a command, a script, a generator, a
 * rule of udev, a service of D-Bus. Whoever names a unit counts as starting it, be it off itself: this says too many rather than too few.
 */
export function startedUnits(tree: Tree, units: ReadonlyMap<string, Unit>): readonly Unit[] {
  const wanted = new Set<string>();
  const want = (text: string): void => {
    for (const [name] of text.matchAll(named)) wanted.add(name);
  };
  for (const { entry, rest } of unitEntries(tree)) {
    if (/\.(?:wants|requires|upholds)\//.test(rest)) want(`${rest.replace(/^.*\//, '')} ${entry.link}`);
    // An alias: whoever means it means the other.
    else if (entry.type === 'symlink') want(entry.link);
  }
  for (const { settings } of units.values())
    for (const { key, value } of settings) if (pulling.has(key) || key.startsWith('Exec')) want(value);
  for (const { path, type, data } of tree.entries()) {
    if (type !== 'file') continue;
    if (/\/dbus-1\/(?:system-)?services\//.test(path)) want(data.toString());
    if (/^(?:etc|usr\/lib)\/udev\/rules\.d\//.test(path)) want(data.toString());
    if (/\/system-generators\//.test(path) || data.subarray(0, 2).toString() === '#!') want(data.toString());
  }
  for (const name of [...wanted]) {
    const [, stem, kind] = /^(.*)\.(socket|timer|path)$/.exec(name) ?? [];
    if (kind !== undefined) for (const each of [`${stem}.service`, `${stem}@.service`]) wanted.add(each);
  }
  const started = (name: string): boolean =>
    wanted.has(name) ||
    (/@\./.test(name) && [...wanted].some((each) => each.replace(/@.+\./, '@.') === name));
  return [...units.values()].filter(({ name }) => started(name));
}
