// SPDX-License-Identifier: Apache-2.0
import { readdir } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { MblError } from '@mbl/trust';
import {
  displayPath,
  located,
  type NamedPart,
  object,
  optional,
  type Position,
  recipeError,
  type RecipeNode,
  type Shape,
  suggestion,
} from '@mbl/formats';
import { errnoOf } from '../engine/errno.ts';
import { loadFile, mustExist } from './files.ts';
import { type Image, imageFields, imageShape, makeImage } from './image.ts';
import { type Layer, readLayer } from './layer.ts';
import { type Machine, machineFields, machineShape, makeMachine } from './machine.ts';
import { differences, type Override } from './override.ts';

export interface RecipesOptions {
  /** The distribution's recipes: the folder with `machines/` and `images/`. */
  readonly osDirectory: string;
  /** Folders of layers, in order: a later one changes what an earlier one left. */
  readonly layers?: readonly string[];
}

/** The machines and images that can be built, with the layers' changes in them. */
export interface Recipes {
  readonly machines: readonly string[];
  readonly images: readonly string[];
  readonly layers: readonly Layer[];
  /** Throws `builder/unknown-machine`, `formats/bad-recipe`. */
  machine(name: string): Machine;
  /** Throws `builder/unknown-image`, `formats/bad-recipe`. */
  image(name: string): Image;
  /** The images that this one extends, the nearest first. */
  bases(name: string): string[];
  /** What the layers change in this machine and this image. */
  overrides(machine: string, image: string): Override[];
}

const extension = { extends: optional(located(/^[a-z0-9][a-z0-9-]{0,63}$/, 'the name of a recipe')) };
const machineFile = object({ ...extension, ...machineFields });
const imageFile = object({ ...extension, ...imageFields });

/**
 * Reads every recipe of the distribution and of the layers. Throws `formats/bad-recipe` (details: file, line, column),
 * `builder/missing-file` and `builder/missing-layer`.
 */
export async function loadRecipes({ osDirectory, layers = [] }: RecipesOptions): Promise<Recipes> {
  const loaded: Layer[] = [];
  for (const folder of layers) loaded.push(await loadLayer(resolve(folder)));
  for (const [i, layer] of loaded.entries()) {
    const twin = loaded.slice(0, i).find((other) => other.name === layer.name);
    if (twin !== undefined)
      throw new MblError(
        'formats/bad-recipe',
        `The layers ${displayPath(twin.folder)} and ${displayPath(layer.folder)} are both called "${layer.name}".`,
        { remedy: 'Give one of them another name in its layer.yaml.' },
      );
  }
  const machines = new RecipeSet('machine', 'builder/unknown-machine', machineFile, machineShape);
  const images = new RecipeSet('image', 'builder/unknown-image', imageFile, imageShape);
  const os = resolve(osDirectory);
  for (const node of await loadFolder(join(os, 'machines'), 'the machine')) machines.add(node);
  for (const node of await loadFolder(join(os, 'images'), 'the image')) images.add(node);
  for (const layer of loaded) {
    for (const node of await loadFolder(layer.machines?.value, 'the machine')) machines.add(node);
    for (const node of await loadFolder(layer.images?.value, 'the image')) images.add(node);
  }
  for (const layer of loaded) {
    for (const change of layer.machineChanges) machines.change(layer.name, change);
    for (const change of layer.imageChanges) images.change(layer.name, change);
  }
  await Promise.all([...machines.paths, ...images.paths].map(mustExist));
  const packageFolders = loaded.flatMap((layer) =>
    layer.packages === undefined ? [] : [layer.packages.value],
  );
  return {
    machines: machines.names,
    images: images.names,
    layers: loaded,
    machine: (name) => makeMachine(name, machines.complete(name)),
    image: (name) => makeImage(name, images.complete(name), packageFolders),
    bases: (name) => images.bases(name),
    overrides: (machine, image) => [...machines.overrides(machine), ...images.overrides(image)],
  };
}

/** All recipes of one kind: each a file, some based on another one, some changed by layers. */
class RecipeSet<P extends object, T, F extends P & { readonly extends?: { value: string; at: Position } }> {
  readonly paths: { readonly value: string; readonly at: Position }[] = [];
  readonly #kind: 'machine' | 'image';
  /** The code of the error for a name that none has. */
  readonly #unknown: string;
  readonly #file: Shape<F, unknown>;
  readonly #shape: Shape<P, T>;
  readonly #recipes = new Map<string, { readonly part: F; readonly node: RecipeNode }>();
  readonly #changes: (NamedPart<P> & { readonly layer: string })[] = [];

  constructor(kind: 'machine' | 'image', unknown: string, file: Shape<F, unknown>, shape: Shape<P, T>) {
    this.#kind = kind;
    this.#unknown = unknown;
    this.#file = file;
    this.#shape = shape;
  }

  get names(): string[] {
    return [...this.#recipes.keys()].toSorted();
  }

  add(node: RecipeNode): void {
    const name = basename(node.recipe.file, extname(node.recipe.file));
    const before = this.#recipes.get(name);
    if (before !== undefined)
      throw recipeError(
        'formats/bad-recipe',
        node.at,
        `the ${this.#kind} "${name}" is there already, in ${displayPath(before.node.recipe.file)}`,
        { remedy: `Give the file another name, or change the ${this.#kind} under "change" in layer.yaml.` },
      );
    this.#recipes.set(name, { part: this.#file.read(node), node });
    this.paths.push(...node.recipe.paths);
  }

  change(layer: string, change: NamedPart<P>): void {
    if (!this.#recipes.has(change.name))
      throw recipeError(this.#unknown, change.at, `no ${this.#kind} is called "${change.name}"`, {
        remedy: suggestion(change.name, this.names, `The ${this.#kind}s`) || undefined,
      });
    this.#changes.push({ ...change, layer });
  }

  complete(name: string): T {
    const recipe = this.#get(name);
    return this.#shape.complete(this.#part(name, []), recipe.node.at, '');
  }

  /** What `name` extends, and what that extends in turn. */
  bases(name: string): string[] {
    // Throws when one is not there, and when they go in a circle.
    this.#part(name, []);
    const chain: string[] = [];
    for (let base = this.#get(name).part.extends; base; base = this.#get(base.value).part.extends)
      chain.push(base.value);
    return chain;
  }

  overrides(name: string): Override[] {
    const found: Override[] = [];
    this.#part(name, [], (base, change, after) => {
      const { layer, at } = change;
      for (const difference of differences(this.#readable(base, at), this.#readable(after, at)))
        found.push({ ...difference, layer, kind: this.#kind, name: change.name, at });
    });
    return found;
  }

  /** The recipe's own part over what it is based on, with the layers' changes: of the base first, then its own. */
  #part(
    name: string,
    above: readonly string[],
    onChange: (base: P, change: NamedPart<P> & { readonly layer: string }, after: P) => void = () => {},
  ): P {
    const { part, node } = this.#get(name);
    const base = part.extends;
    let result: P = part;
    if (base !== undefined) {
      const chain = [...above, name];
      if (chain.includes(base.value))
        throw recipeError(
          'formats/bad-recipe',
          base.at,
          `a circle: ${[...chain, base.value].join(' extends ')}`,
        );
      if (!this.#recipes.has(base.value))
        throw recipeError(this.#unknown, base.at, `no ${this.#kind} is called "${base.value}"`, {
          remedy: suggestion(base.value, this.names, `The ${this.#kind}s`) || undefined,
        });
      result = this.#shape.merge(this.#part(base.value, chain, onChange), part);
    } else {
      // Checks that the recipe removes nothing: there is nothing below it.
      this.#shape.complete(result, node.at, '');
    }
    for (const change of this.#changes) {
      if (change.name !== name) continue;
      const after = this.#shape.merge(result, change.part);
      onChange(result, change, after);
      result = after;
    }
    return result;
  }

  #readable(part: P, at: Position): unknown {
    return plain(this.#shape.complete(part, at, ''));
  }

  #get(name: string): { readonly part: F; readonly node: RecipeNode } {
    const recipe = this.#recipes.get(name);
    if (recipe !== undefined) return recipe;
    throw new MblError(this.#unknown, `No ${this.#kind} is called "${name}".`, {
      remedy: suggestion(name, this.names, `The ${this.#kind}s`),
      details: { name, known: this.names },
    });
  }
}

/** A complete recipe without the places where its values were written. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('value' in value && 'at' in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

async function loadLayer(folder: string): Promise<Layer> {
  const file = join(folder, 'layer.yaml');
  let node: RecipeNode;
  try {
    node = await loadFile(file, 'the layer');
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT' && errnoOf(cause) !== 'ENOTDIR') throw cause;
    throw new MblError(
      'builder/missing-layer',
      `${displayPath(folder)} is not a layer: it has no layer.yaml.`,
      {
        remedy: 'Give the folder that holds layer.yaml; examples/product-layer is one to copy.',
        cause,
      },
    );
  }
  const layer = readLayer(node);
  await Promise.all(node.recipe.paths.map(mustExist));
  return layer;
}

async function loadFolder(folder: string | undefined, name: string): Promise<RecipeNode[]> {
  if (folder === undefined) return [];
  let files: string[];
  try {
    files = await readdir(folder);
  } catch (cause) {
    throw new MblError('builder/missing-file', `The folder ${displayPath(folder)} cannot be read.`, {
      cause,
    });
  }
  const recipes = files.filter((file) => /^[a-z0-9][a-z0-9-]{0,63}\.yaml$/.test(file)).toSorted();
  const wrong = files.find((file) => /\.ya?ml$/.test(file) && !recipes.includes(file));
  if (wrong !== undefined)
    throw new MblError(
      'formats/bad-recipe',
      `${displayPath(join(folder, wrong))} is not the name of a recipe.`,
      {
        remedy: 'Use lower case letters, digits and "-", and the ending ".yaml".',
      },
    );
  return Promise.all(recipes.map((file) => loadFile(join(folder, file), name)));
}
