// SPDX-License-Identifier: Apache-2.0
import type { Entry, Tree } from './tree.ts';

/** The folders of systemd.unit(5) that are in an image, the first before the others. */
const folders = [
  'etc/systemd/system.control',
  'etc/systemd/system',
  'etc/systemd/system.attached',
  'usr/local/lib/systemd/system',
  'usr/lib/systemd/system',
];

/** One `Key=value` of a unit or a drop-in, and the file that says it. */
export interface Setting {
  readonly key: string;
  readonly value: string;
  readonly file: Entry;
}

/** A unit that is not masked: its own file's settings and those of its drop-ins. */
export interface Unit {
  readonly name: string;
  readonly file: Entry;
  readonly settings: readonly Setting[];
}

const suffix = 'service|socket|timer|path|mount|automount|target|swap|slice|scope';
const unitName = new RegExp(`^[A-Za-z0-9:_.@\\\\-]+\\.(?:${suffix})$`);

/** Every unit of the tree by name; those that are masked are not there, nor those that are only links to others. */
export function readUnits(tree: Tree): ReadonlyMap<string, Unit> {
  const found = new Map<string, Entry>();
  const dropIns = new Map<string, Entry[]>();
  for (const { entry, rest } of unitEntries(tree)) {
    const [name = '', inner] = rest.split('/');
    if (inner === undefined) {
      if (unitName.test(name) && !found.has(name)) found.set(name, entry);
    } else if (name.endsWith('.d') && inner.endsWith('.conf') && rest.split('/').length === 2) {
      const unit = name.slice(0, -2);
      dropIns.set(unit, [...(dropIns.get(unit) ?? []), entry]);
    }
  }
  const units = new Map<string, Unit>();
  for (const [name, entry] of found) {
    const file = entry.type === 'file' ? entry : tree.resolve(entry.path);
    // A link to /dev/null leads out of the tree; an empty file masks as well.
    if (file?.type !== 'file' || file.data.length === 0) continue;
    const more = dropInNames(name).flatMap((place) => dropIns.get(place) ?? []);
    const settings = [file, ...more].flatMap((from) =>
      readSettings(textOf(tree, from)).map((setting) => ({ ...setting, file: from })),
    );
    units.set(name, { name, file, settings });
  }
  return units;
}

/** Entries below the unit folders, in the order of their precedence; `rest` is the path below the folder. */
export function unitEntries(tree: Tree): { readonly entry: Entry; readonly rest: string }[] {
  const entries = tree.entries();
  const below = (folder: string) =>
    entries
      .filter(({ path }) => path.startsWith(`${folder}/`))
      .map((entry) => ({ entry, rest: entry.path.slice(folder.length + 1) }));
  // A folder of links or drop-ins may itself be a link to one.
  const linked = ({ entry, rest }: ReturnType<typeof below>[number]) => {
    const there = entry.type === 'symlink' ? tree.resolve(entry.path) : undefined;
    if (there?.type !== 'directory') return [];
    return below(there.path).map((each) => ({ entry: each.entry, rest: `${rest}/${each.rest}` }));
  };
  return folders.flatMap((folder) => below(folder).flatMap((each) => [each, ...linked(each)]));
}

/** Where systemd looks for drop-ins of a unit (systemd.unit(5)): its own name, its template's, its prefixes', its kind's. */
function dropInNames(name: string): string[] {
  const [, stem = '', kind = ''] = /^(.*)\.([a-z]+)$/.exec(name) ?? [];
  const template = stem.replace(/@.*$/, '@');
  const prefixes = [...stem.matchAll(/-/g)].map(({ index }) => `${stem.slice(0, index + 1)}.${kind}`);
  return [...new Set([name, `${template}.${kind}`, ...prefixes, kind])];
}

function textOf(tree: Tree, entry: Entry): string {
  return (tree.resolve(entry.path)?.data ?? Buffer.alloc(0)).toString();
}

/** systemd.syntax(7): a backslash at its end goes on on the next line; comment lines may stand between. */
function readSettings(text: string): { key: string; value: string }[] {
  const joined = text.replaceAll(/^[ \t]*[#;].*\n?/gm, '').replaceAll(/\\\r?\n/g, ' ');
  return [...joined.matchAll(/^[ \t]*([A-Za-z0-9]+)[ \t]*=[ \t]*(.*?)[ \t\r]*$/gm)].map(
    ([, key = '', value = '']) => ({ key, value }),
  );
}
