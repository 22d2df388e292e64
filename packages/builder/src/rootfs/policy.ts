// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseRecipe } from '../recipes/document.ts';
import { byName, integer, list, object, table, text } from '../recipes/shape.ts';

const path = text(/^[\x21-\x7e]{1,300}$/, 'a path without a slash at its start');
const word = text(/^[\x21-\x7e]{1,200}$/, 'a name');
const ids = byName(integer(1, 59_999));

const policyShape = object({
  users: ids,
  groups: ids,
  scaffolding: list(word),
  trim: list(path),
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

/** Reads `<os>/rootfs/policy.yaml`. Throws `builder/recipe-invalid` with file and line. */
export const readPolicy = async (osDirectory: string): Promise<Policy> => {
  const file = join(osDirectory, 'rootfs', 'policy.yaml');
  const node = parseRecipe(file, await readFile(file), 'the policy');
  const whole = policyShape.complete(policyShape.read(node), node.at, 'the policy');
  const named = <T>(list: readonly { readonly name: string; readonly part: T }[]): Record<string, T> =>
    Object.fromEntries(list.map(({ name, part }) => [name, part]));
  return {
    ...whole,
    users: named(whole.users),
    groups: named(whole.groups),
    reviewed: named(whole.reviewed),
  };
};
