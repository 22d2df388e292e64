// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  byName,
  integer,
  list,
  object,
  optional,
  parseRecipe,
  table,
  text,
  type WholeOf,
} from '@mbl/formats';

const path = text(/^[\x21-\x7e]{1,300}$/, 'a path without a slash at its start');
const word = text(/^[\x21-\x7e]{1,200}$/, 'a name');
const ids = byName(integer(1, 59_999));

const policyShape = object({
  users: ids,
  groups: ids,
  scaffolding: optional(list(word)),
  trim: optional(list(path)),
  links: table(),
  modes: table(),
  reviewed: byName(list(text(/^[0-9a-f]{64}$/, 'a SHA-256'))),
});

/** How packages become a root file system without their maintainer scripts. `os/rootfs/policy.yaml` explains each part. */
export interface Policy {
  readonly users: Readonly<Record<string, number>>;
  readonly groups: Readonly<Record<string, number>>;
  readonly scaffolding: readonly string[];
  readonly trim: readonly string[];
  readonly links: Readonly<Record<string, string>>;
  readonly modes: Readonly<Record<string, string>>;
  readonly reviewed: Readonly<Record<string, readonly string[]>>;
}

/** The policy files of the distribution and of those layers (folders) that have one, in order. */
export const policyFiles = (osDirectory: string, layers: readonly string[] = []): string[] => [
  join(osDirectory, 'rootfs', 'policy.yaml'),
  ...layers.map((layer) => resolve(layer, 'policy.yaml')).filter((file) => existsSync(file)),
];

/** Reads policy files; a later one adds to the earlier ones. Throws `formats/bad-recipe` with file and line. */
export const readPolicy = async (files: readonly string[]): Promise<Policy> => {
  const parts = await Promise.all(files.map(readOne));
  const reviewed: Record<string, string[]> = {};
  for (const part of parts)
    for (const { name, part: digests } of part.reviewed)
      reviewed[name] = [...(reviewed[name] ?? []), ...digests];
  return {
    users: Object.assign({}, ...parts.map(({ users }) => byNameOf(users))),
    groups: Object.assign({}, ...parts.map(({ groups }) => byNameOf(groups))),
    scaffolding: parts.flatMap(({ scaffolding }) => scaffolding ?? []),
    trim: parts.flatMap(({ trim }) => trim ?? []),
    links: Object.assign({}, ...parts.map(({ links }) => links)),
    modes: Object.assign({}, ...parts.map(({ modes }) => modes)),
    reviewed,
  };
};

const readOne = async (file: string): Promise<WholeOf<typeof policyShape>> => {
  const node = parseRecipe(file, await readFile(file), 'the policy');
  return policyShape.complete(policyShape.read(node), node.at, 'the policy');
};

const byNameOf = <T>(list: readonly { readonly name: string; readonly part: T }[]): Record<string, T> =>
  Object.fromEntries(list.map(({ name, part }) => [name, part]));
