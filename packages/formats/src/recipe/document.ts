// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import { MblError } from '@mbl/trust';
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { displayPath } from './display-path.ts';

/** A place in a recipe: lines and columns count from 1. */
export interface Position {
  /** Absolute path. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A value, and the place where it was written. */
export interface Located<T> {
  readonly value: T;
  readonly at: Position;
}

/** "os/images/production.yaml:12:5", relative to the working directory when that is shorter. */
export function formatPosition({ file, line, column }: Position): string {
  return `${displayPath(file)}:${line}:${column}`;
}

/** An error about what stands at a place of a recipe. */
export function recipeError(
  code: string,
  at: Position,
  message: string,
  options: { remedy?: string | undefined; cause?: unknown } = {},
): MblError {
  const { remedy = `Correct line ${at.line} of ${displayPath(at.file)}.`, cause } = options;
  const details = { file: at.file, line: at.line, column: at.column };
  return new MblError(code, `${formatPosition(at)}: ${message}`, { remedy, cause, details });
}

const maxBytes = 256 * 1024;

/** A YAML node of a recipe, with the recipe that it is part of. Wraps the parser, so that nothing else knows it. */
export class RecipeNode {
  readonly recipe: Recipe;
  readonly #node: Node | null;
  readonly at: Position;
  /** What the node is to a reader: `"partitions"`, `the machine`, `an entry of "packages"`. */
  readonly name: string;

  constructor(recipe: Recipe, node: Node | null, at: Position, name: string) {
    this.recipe = recipe;
    this.#node = node;
    this.at = at;
    this.name = name;
  }

  /** The entries of a mapping, or undefined when the node is something else. */
  entries(): { key: string; keyAt: Position; value: RecipeNode }[] | undefined {
    if (!isMap(this.#node)) return undefined;
    const map: YAMLMap = this.#node;
    return map.items.map((pair) => {
      const keyNode = pair.key;
      if (!isScalar(keyNode) || typeof keyNode.value !== 'string')
        throw recipeError('formats/bad-recipe', this.at, `${this.name} has a key that is not a text`);
      const keyAt = this.recipe.position(keyNode.range?.[0]);
      const value = isNode(pair.value) ? pair.value : null;
      return { key: keyNode.value, keyAt, value: this.recipe.node(value, keyAt, `"${keyNode.value}"`) };
    });
  }

  /** The items of a list, or undefined when the node is something else. */
  items(): RecipeNode[] | undefined {
    if (!isSeq(this.#node)) return undefined;
    return this.#node.items.map((item) =>
      this.recipe.node(isNode(item) ? item : null, this.at, `an entry of ${this.name}`),
    );
  }

  /** The value of a scalar; null for an empty one; undefined when the node is a list or a mapping. */
  scalar(): string | number | boolean | null | undefined {
    if (this.#node === null) return null;
    if (!isScalar(this.#node)) return undefined;
    const { value } = this.#node;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
    return null;
  }

  /** What a person sees there: "a list", "the number 3". */
  describe(): string {
    if (isMap(this.#node)) return 'a mapping';
    if (isSeq(this.#node)) return 'a list';
    const value = this.scalar();
    if (typeof value === 'string')
      return value.length > 40 || /\p{Cc}/u.test(value) ? 'a long or odd text' : `the text "${value}"`;
    return value === null || value === undefined ? 'empty' : `the ${typeof value} ${value}`;
  }

  /** An error about this node: "<place>: "memory" <what>". */
  wrong(what: string, remedy?: string): MblError {
    return recipeError('formats/bad-recipe', this.at, `${this.name} ${what}`, { remedy });
  }
}

/** A recipe file, parsed. */
export class Recipe {
  /** Absolute path. */
  readonly file: string;
  /** Every path that the recipe names, as it is read: whoever has a file system checks them. */
  readonly paths: Located<string>[] = [];
  readonly #lines: LineCounter;

  constructor(file: string, lines: LineCounter) {
    this.file = file;
    this.#lines = lines;
  }

  /** The folder that relative paths in the recipe start from. */
  get folder(): string {
    return dirname(this.file);
  }

  position(offset: number | undefined): Position {
    const { line, col } = offset === undefined ? { line: 1, col: 1 } : this.#lines.linePos(offset);
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Wraps a parser's node. An empty node is where its key is. */
  node(node: Node | null, fallback: Position, name: string): RecipeNode {
    const at = node?.range ? this.position(node.range[0]) : fallback;
    if (isAlias(node) || (node !== null && 'anchor' in node && node.anchor !== undefined))
      throw recipeError('formats/bad-recipe', at, 'anchors and aliases are not used in recipes');
    return new RecipeNode(this, node, at, name);
  }
}

/**
 * Parses a recipe's YAML text. `name` is what the whole file is called in messages. Throws `formats/bad-recipe` with the place,
 * and nothing else.
 */
export function parseRecipe(file: string, bytes: Uint8Array, name: string): RecipeNode {
  const start: Position = { file, line: 1, column: 1 };
  const refuse = (message: string, cause?: unknown): MblError =>
    recipeError('formats/bad-recipe', start, message, { cause, remedy: `Correct ${displayPath(file)}.` });
  if (bytes.length > maxBytes) throw refuse(`the file is larger than ${maxBytes / 1024} KiB`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refuse('the file is not UTF-8 text', cause);
  }
  const lines = new LineCounter();
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: 'core',
      version: '1.2',
    });
  } catch (cause) {
    // The parser recurses: thousands of open brackets end its stack.
    throw refuse('the file is not YAML', cause);
  }
  const recipe = new Recipe(file, lines);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined)
    throw recipeError('formats/bad-recipe', recipe.position(problem.pos[0]), problem.message);
  return recipe.node(document.contents, start, name);
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value);
}
