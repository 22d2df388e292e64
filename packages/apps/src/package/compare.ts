// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { parseFiles, maxFilesList } from './files-list.ts';
import { appFiles, readPackage } from './folder.ts';

/** What differs between two packages. */
export interface AppComparison {
  /** Members of `app.json`, by their paths, as JSON; empty where one does not have it. */
  readonly description: readonly {
    readonly member: string;
    readonly before: string;
    readonly after: string;
  }[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** With what each was and is. */
  readonly changed: readonly { readonly path: string; readonly before: string; readonly after: string }[];
  /** The bills of materials, as text; undefined where a package has none. */
  readonly bills: readonly [before: string | undefined, after: string | undefined];
}

const mostBill = 16 << 20;

/** Compares two packages by what they say: their images are not read. Throws `apps/no-package`, `apps/bad-files`, `formats/bad-app`. */
export async function comparePackages(before: string, after: string): Promise<AppComparison> {
  const [one, other] = [members(await readPackage(before)), members(await readPackage(after))];
  const description = [...new Set([...one.keys(), ...other.keys()])]
    // Which bytes the image has is told by its files.
    .filter((member) => !member.startsWith('image.') && one.get(member) !== other.get(member))
    .map((member) => ({ member, before: one.get(member) ?? '', after: other.get(member) ?? '' }));
  const [old, fresh] = [await filesOf(before), await filesOf(after)];
  return {
    description,
    added: [...fresh.keys()].filter((path) => !old.has(path)),
    removed: [...old.keys()].filter((path) => !fresh.has(path)),
    changed: [...old]
      .filter(([path, what]) => fresh.has(path) && fresh.get(path) !== what)
      .map(([path, what]) => ({ path, before: what, after: fresh.get(path) ?? '' })),
    bills: [await billOf(before), await billOf(after)],
  };
}

/** The members of a value by their paths; lists as a whole. */
function members(value: object): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (one: unknown, path: string): void => {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) found.set(path, JSON.stringify(one));
    else for (const [key, inner] of Object.entries(one)) visit(inner, path === '' ? key : `${path}.${key}`);
  };
  visit(value, '');
  return found;
}

async function filesOf(folder: string): Promise<Map<string, string>> {
  const text = await readText(join(folder, appFiles.files), maxFilesList);
  if (text !== undefined) return parseFiles(text);
  throw new MblError('apps/no-package', `The package in ${folder} has no list of its files.`, {
    remedy: 'Make it again with: ./mbl app build',
  });
}

async function billOf(folder: string): Promise<string | undefined> {
  return await readText(join(folder, appFiles.bill), mostBill);
}
