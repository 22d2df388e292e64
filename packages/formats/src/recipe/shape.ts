// SPDX-License-Identifier: Apache-2.0
import { isAbsolute, resolve } from 'node:path';
import { type Located, type Position, type RecipeNode, recipeError } from './document.ts';
import { suggestion } from './nearest.ts';
import { parseSize, sizeExample } from './size.ts';

/**
 * What may stand at a place of a recipe. A recipe is read in three steps, because an image or a machine is made of several files: each
 * file is read into a part `P` (any key may be missing), later parts are merged into earlier ones, the whole is completed to `T`.
 */
export interface Shape<P, T> {
  /** Checks keys and types of what is there. */
  read(node: RecipeNode): P;
  /** What results when `change` comes after `base`. */
  merge(base: P, change: P): P;
  /** Fills in defaults. `at` is where the surrounding mapping starts, `name` what the value is called in messages. */
  complete(part: P | undefined, at: Position, name: string): T;
}

/** The part type and the complete type of a shape. */
export type PartOf<S> = S extends Shape<infer P, infer _> ? P : never;
export type WholeOf<S> = S extends Shape<infer _, infer T> ? T : never;

function missing(at: Position, name: string): Error {
  return recipeError('formats/bad-recipe', at, `"${name}" is missing`, { remedy: `Add "${name}".` });
}

/** A value of its own kind, which `read` takes from its node. */
export function scalar<T>(read: (node: RecipeNode) => T): Shape<T, T> {
  return {
    read,
    merge: (_, change) => change,
    complete(part, at, name) {
      if (part === undefined) throw missing(at, name);
      return part;
    },
  };
}

/** A text of the given form; `form` names it for people ("a package name"). */
export function text(
  pattern = /^[\x20-\x7e\u00a0-\uffff]{1,200}$/,
  form = 'a line of text',
): Shape<string, string> {
  return scalar((node) => readText(node, pattern, form));
}

function readText(node: RecipeNode, pattern: RegExp, form: string): string {
  const value = node.scalar();
  if (typeof value === 'string' && pattern.test(value)) return value;
  const quotes =
    typeof value === 'number' || typeof value === 'boolean' ? `Write it in quotes: "${value}".` : undefined;
  throw node.wrong(`must be ${form}, not ${node.describe()}`, quotes);
}

/** One of a few words. */
export function oneOf<const W extends string>(...words: readonly W[]): Shape<W, W> {
  return scalar((node) => {
    const value = node.scalar();
    const word = words.find((candidate) => candidate === value);
    if (word !== undefined) return word;
    const help = typeof value === 'string' ? suggestion(value, words, 'Words that can stand') : undefined;
    throw node.wrong(
      `must be ${words.map((each) => `"${each}"`).join(' or ')}, not ${node.describe()}`,
      help,
    );
  });
}

export function integer(lowest: number, highest: number): Shape<number, number> {
  return scalar((node) => {
    const value = node.scalar();
    if (typeof value === 'number' && Number.isInteger(value) && value >= lowest && value <= highest)
      return value;
    throw node.wrong(`must be a whole number from ${lowest} to ${highest}, not ${node.describe()}`);
  });
}

/** A size with its unit, in bytes. */
export function size(): Shape<number, number> {
  return scalar((node) => {
    const value = node.scalar();
    const bytes = typeof value === 'string' ? parseSize(value) : undefined;
    if (bytes !== undefined && bytes > 0) return bytes;
    throw node.wrong(
      `must be a size with its unit, not ${node.describe()}`,
      `Write for example ${sizeExample}.`,
    );
  });
}

/** A time with its unit, in seconds; at most `longest`. */
export function duration(longest: number): Shape<number, number> {
  return scalar((node) => {
    const value = node.scalar();
    const match = typeof value === 'string' ? /^(\d{1,6}) ?(s|min|h)$/.exec(value) : null;
    const seconds = Number(match?.[1]) * ({ s: 1, min: 60, h: 3600 }[match?.[2] ?? ''] ?? Number.NaN);
    if (seconds <= longest) return seconds;
    throw node.wrong(
      `must be a time of at most ${longest} s, not ${node.describe()}`,
      'Write for example "10 s" or "5 min".',
    );
  });
}

/** A path; a relative one starts at the recipe's folder. Whether it exists is checked by who loads the recipe. */
export function path(): Shape<Located<string>, Located<string>> {
  return scalar(readPath);
}

function readPath(node: RecipeNode): Located<string> {
  const value = readText(node, /^[\x20-\x7e\u00a0-\uffff]{1,500}$/, 'a path');
  const found = { value: isAbsolute(value) ? value : resolve(node.recipe.folder, value), at: node.at };
  node.recipe.paths.push(found);
  return found;
}

/** A text with the place where it was written, for errors that come later. */
export function located(pattern: RegExp, form: string): Shape<Located<string>, Located<string>> {
  return scalar((node) => ({ value: readText(node, pattern, form), at: node.at }));
}

/** A value that need not be there. */
export function optional<P, T>(shape: Shape<P, T>): Shape<P, T | undefined> {
  return {
    read: (node) => shape.read(node),
    merge: (base, change) => shape.merge(base, change),
    complete: (part, at, name) => (part === undefined ? undefined : shape.complete(part, at, name)),
  };
}

/** A list that a later part replaces as a whole. */
export function list<P, T>(item: Shape<P, T>): Shape<P[], T[]> {
  return {
    read(node) {
      const items = node.items();
      if (items === undefined) throw node.wrong(`must be a list, not ${node.describe()}`);
      return items.map((each) => item.read(each));
    },
    merge: (_, change) => change,
    complete(part, at, name) {
      if (part === undefined) throw missing(at, name);
      return part.map((each) => item.complete(each, at, name));
    },
  };
}

/** Texts by name, merged name by name. */
export function table(): Shape<Record<string, string>, Record<string, string>> {
  return {
    read(node) {
      const entries = node.entries();
      if (entries === undefined) throw node.wrong(`must be a mapping, not ${node.describe()}`);
      return Object.fromEntries(
        entries.map(({ key, value }) => {
          const content = value.scalar();
          if (content === null || content === undefined)
            throw value.wrong(`must be a text, not ${value.describe()}`);
          return [key, String(content)];
        }),
      );
    },
    merge: (base, change) => ({ ...base, ...change }),
    complete: (part) => part ?? {},
  };
}

/** Names that a part adds, and names that it takes away. */
export interface NamesPart {
  readonly add: readonly Located<string>[];
  readonly remove: readonly Located<string>[];
}

/**
 * A list in which each name stands once. A later part adds (a plain list, or `add:`) and takes away (`remove:`); taking away what is
 * not there is an error. Complete: in the order of adding.
 */
export function names(pattern: RegExp, form: string, one: string): Shape<NamesPart, Located<string>[]> {
  const item = list(located(pattern, form));
  const parts = object({ add: optional(item), remove: optional(item) });
  const join = (base: readonly Located<string>[], change: NamesPart): Located<string>[] => {
    const kept = new Map(base.map((each) => [each.value, each]));
    for (const { value, at } of change.remove) {
      if (!kept.has(value))
        throw recipeError('formats/bad-recipe', at, `the ${one} "${value}" to remove is not there`, {
          remedy: suggestion(value, kept.keys(), `Each ${one}`) || undefined,
        });
      kept.delete(value);
    }
    for (const each of change.add) if (!kept.has(each.value)) kept.set(each.value, each);
    return [...kept.values()];
  };
  return {
    read(node) {
      const { add = [], remove = [] } =
        node.items() === undefined ? parts.read(node) : { add: item.read(node) };
      const seen = new Set<string>();
      for (const { value, at } of [...add, ...remove]) {
        if (seen.has(value))
          throw recipeError('formats/bad-recipe', at, `the ${one} "${value}" stands here twice`);
        seen.add(value);
      }
      return { add, remove };
    },
    merge: (base, change) => ({ add: join(base.add, change), remove: base.remove }),
    complete: (part) => (part === undefined ? [] : join([], part)),
  };
}

/** Paths of folders or files; later parts add theirs at the end. */
export function paths(): Shape<Located<string>[], Located<string>[]> {
  const shape = list(path());
  return {
    read: (node) => shape.read(node),
    merge: (base, change) => [...base, ...change],
    complete: (part) => part ?? [],
  };
}

const place: unique symbol = Symbol('place');

type AnyShape = Shape<unknown, unknown>;
type Fields = Readonly<Record<string, AnyShape>>;
export type ObjectPart<F> = { readonly [K in keyof F]?: PartOf<F[K]> } & { readonly [place]?: Position };
export type ObjectWhole<F> = { readonly [K in keyof F]: WholeOf<F[K]> };

/** "fipOffset" in the program is "fip-offset" in a recipe. */
const recipeKey = (field: string): string =>
  field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A mapping with the given keys, merged key by key. A key that is not among them is an error. */
export function object<F extends Fields>(fields: F): Shape<ObjectPart<F>, ObjectWhole<F>> {
  const shapes = new Map(Object.entries(fields).map(([field, shape]) => [field, shape]));
  const byKey = new Map([...shapes.keys()].map((field) => [recipeKey(field), field]));
  const get = (part: object, field: string): unknown => Reflect.get(part, field);
  return {
    read(node) {
      const entries = node.entries();
      if (entries === undefined) throw node.wrong(`must be a mapping, not ${node.describe()}`);
      const part: Record<PropertyKey, unknown> = { [place]: node.at };
      for (const { key, keyAt, value } of entries) {
        const field = byKey.get(key);
        const shape = field === undefined ? undefined : shapes.get(field);
        if (field === undefined || shape === undefined)
          throw recipeError('formats/bad-recipe', keyAt, `"${key}" is not a key of ${node.name}`, {
            remedy: suggestion(key, byKey.keys(), 'Keys that can stand'),
          });
        part[field] = shape.read(value);
      }
      return part as ObjectPart<F>;
    },
    merge(base, change) {
      const part: Record<PropertyKey, unknown> = { ...base };
      for (const [field, shape] of shapes) {
        const before = get(base, field);
        const after = get(change, field);
        if (after === undefined) continue;
        part[field] = before === undefined ? after : shape.merge(before, after);
      }
      return part as ObjectPart<F>;
    },
    complete(part, at, name) {
      const here = part?.[place] ?? at;
      const whole: Record<string, unknown> = {};
      for (const [field, shape] of shapes) {
        const key = recipeKey(field);
        whole[field] = shape.complete(get(part ?? {}, field), here, name === '' ? key : `${name}.${key}`);
      }
      return whole as ObjectWhole<F>;
    },
  };
}

/** A mapping from names that the recipe chooses, each with the place of its name. */
export function byName<P, T>(item: Shape<P, T>): Shape<NamedPart<P>[], NamedPart<T>[]> {
  return {
    read(node) {
      const entries = node.entries();
      if (entries === undefined) throw node.wrong(`must be a mapping, not ${node.describe()}`);
      return entries.map(({ key, keyAt, value }) => ({ name: key, at: keyAt, part: item.read(value) }));
    },
    merge: (base, change) => [...base, ...change],
    complete: (part) =>
      (part ?? []).map(({ name, at, part }) => ({ name, at, part: item.complete(part, at, name) })),
  };
}

/** A value under a name. */
export interface NamedPart<P> {
  readonly name: string;
  readonly at: Position;
  readonly part: P;
}

/** A list of mappings that each have a `name`, merged by that name: a known one is changed, a new one is added at the end. */
export function named<P extends { readonly name?: string }, T>(
  item: Shape<P, T>,
  one: string,
): Shape<P[], T[]> {
  return {
    read(node) {
      const items = node.items();
      if (items === undefined) throw node.wrong(`must be a list, not ${node.describe()}`);
      const seen = new Set<string>();
      return items.map((each) => {
        const part = item.read(each);
        if (part.name === undefined) throw missing(each.at, 'name');
        if (seen.has(part.name)) throw each.wrong(`: the ${one} "${part.name}" stands here twice`);
        seen.add(part.name);
        return part;
      });
    },
    merge(base, change) {
      const merged = new Map(base.map((part) => [part.name, part]));
      for (const part of change) {
        const before = merged.get(part.name);
        merged.set(part.name, before === undefined ? part : item.merge(before, part));
      }
      return [...merged.values()];
    },
    complete: (part, at, name) => (part ?? []).map((each) => item.complete(each, at, `${name}.${each.name}`)),
  };
}
