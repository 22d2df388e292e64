// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { matcher } from './globs.ts';
import { compare, type Entry, type Tree } from './tree.ts';

const FOLDER = 'usr/lib/systemd/system';
const FROM = 'the units of the image';

/** What an image says of units. */
export interface UnitChoice {
  readonly enable: readonly string[];
  readonly disable: readonly string[];
  readonly mask: readonly string[];
}

/**
 * Does what `systemctl preset-all` does: the links in `/etc/systemd/system` for every unit with an `[Install]` section that the tree's
 * preset files enable. The image's own choice comes before them; a unit that no file names stays off. Throws `builder/unknown-unit`.
 */
export const applyPresets = (tree: Tree, choice: UnitChoice): void => {
  const lines = [
    ...choice.enable.map((unit) => `enable ${unit}\n`),
    ...choice.disable.map((unit) => `disable ${unit}\n`),
  ];
  tree.file('usr/lib/systemd/system-preset/05-image.preset', lines.join(''), FROM);
  for (const unit of choice.mask) mask(tree, unit);
  const rules = readPresets(tree);
  const units = new Map(
    unitFiles(tree).map((entry) => [entry.path.slice(entry.path.lastIndexOf('/') + 1), entry]),
  );
  for (const name of choice.enable) {
    const file = units.get(name) ?? units.get(name.replace(/@[^.]+\./, '@.'));
    if (!file)
      throw new MblError(
        'builder/unknown-unit',
        `No package and no folder of the image brings the unit ${name}.`,
        {
          remedy: 'Add the package that holds it to the image, or take it out of "services: enable:".',
          details: { unit: name },
        },
      );
  }
  const named = new Set([...units.keys(), ...choice.enable]);
  for (const name of [...named].toSorted(compare)) if (rules(name)) enable(tree, name, units);
};

type Units = ReadonlyMap<string, Entry>;

const enable = (tree: Tree, name: string, units: Units): void => {
  const instance = /^(.+@)([^.]+)(\..+)$/.exec(name);
  const file = units.get(name) ?? (instance ? units.get(`${instance[1]}${instance[3]}`) : undefined);
  if (!file || isMasked(tree, name)) return;
  const install = readInstall(file.data.toString());
  const fallback = install.get('DefaultInstance')?.[0];
  // A template is enabled as its default instance, or not at all.
  const unit = /@\./.test(name) ? (fallback ? name.replace('@.', `@${fallback}.`) : undefined) : name;
  const target = `/${file.path}`;
  if (unit)
    for (const [key, suffix] of [
      ['WantedBy', 'wants'],
      ['RequiredBy', 'requires'],
      ['UpheldBy', 'upholds'],
    ] as const)
      for (const by of install.get(key) ?? [])
        tree.symlink(`etc/systemd/system/${by}.${suffix}/${unit}`, target, FROM);
  for (const alias of install.get('Alias') ?? []) tree.symlink(`etc/systemd/system/${alias}`, target, FROM);
};

const mask = (tree: Tree, unit: string): void => {
  tree.remove(`etc/systemd/system/${unit}`);
  tree.symlink(`etc/systemd/system/${unit}`, '/dev/null', FROM);
};

const isMasked = (tree: Tree, unit: string): boolean =>
  tree.get(`etc/systemd/system/${unit}`)?.link === '/dev/null';

const unitFiles = (tree: Tree): Entry[] =>
  tree
    .entries()
    .filter(({ path, type }) => type === 'file' && (isIn(path, FOLDER) || isIn(path, 'etc/systemd/system')));

const isIn = (path: string, folder: string): boolean =>
  path.startsWith(`${folder}/`) && !path.slice(folder.length + 1).includes('/');

/** systemd.preset(5): files by name, first rule that fits wins; without one the unit stays off (`disable *` in the image's own file). */
const readPresets = (tree: Tree): ((unit: string) => boolean) => {
  const files = tree
    .entries()
    .filter(
      ({ path, type }) =>
        type === 'file' && /^(etc|usr\/lib)\/systemd\/system-preset\/[^/]+\.preset$/.test(path),
    )
    .toSorted((a, b) => compare(a.path.replace(/.*\//, ''), b.path.replace(/.*\//, '')));
  const rules = files.flatMap(({ data }) =>
    [...data.toString().matchAll(/^\s*(enable|disable)\s+(\S+)/gm)].map(([, verb = '', glob = '']) => ({
      on: verb === 'enable',
      fits: matcher([glob]),
    })),
  );
  return (unit) => rules.find(({ fits }) => fits(unit))?.on ?? false;
};

/** The `[Install]` section: values of one key are joined, as systemd does. */
const readInstall = (text: string): Map<string, string[]> => {
  const found = new Map<string, string[]>();
  let inside = false;
  for (const line of text.replaceAll(/\\\n/g, ' ').split('\n')) {
    const section = /^\s*\[(.+)\]\s*$/.exec(line)?.[1];
    if (section) inside = section === 'Install';
    const [, key, value = ''] = /^\s*([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (inside && key) found.set(key, [...(found.get(key) ?? []), ...value.split(/\s+/).filter(Boolean)]);
  }
  return found;
};
