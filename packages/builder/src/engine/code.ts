// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MblError } from '@mbl/trust';
import { transform } from 'esbuild';
import type { Json } from '../task.ts';
import { errnoOf } from './errno.ts';

/** Files of the code that a task runs: the module that defines it, and all that this one imports. */
export interface TaskCode {
  /** SHA-256 by absolute path of source files, in the order of the paths. */
  readonly files: Readonly<Record<string, string>>;
  /** Node, and packages of npm as they are installed: `name version`. */
  readonly packages: readonly string[];
}

/** What a source asks of another module; `names` is undefined when it may use all of it. */
export interface Import {
  readonly specifier: string;
  readonly names: readonly string[] | undefined;
}

interface Source {
  readonly imports: readonly Import[];
  readonly sha256: string;
}

/** Finds the code behind modules. Reads each file once in its life: a build has one, the next build another. */
export class CodeFinder {
  readonly #sources = new Map<string, Promise<Source>>();

  /**
   * What running modules (absolute paths) can execute. What is imported for its types only does not count; of a package of ours, only the
   * modules behind the names that are imported count: its front door has no code of its own.
   */
  async codeOf(modules: string | readonly string[]): Promise<TaskCode> {
    const files = new Map<string, string>();
    const packages = new Map<string, string>();
    const visit = async (file: string): Promise<void> => {
      if (files.has(file)) return;
      files.set(file, '');
      const { imports, sha256 } = await this.#read(file);
      files.set(file, sha256);
      for (const { specifier, names } of imports) {
        if (specifier.startsWith('.')) await visit(resolve(dirname(file), specifier));
        else if (specifier.startsWith('@mbl/'))
          for (const behind of await this.#behind(await frontDoor(file, specifier), names))
            await visit(behind);
        else if (!specifier.startsWith('node:')) await addInstalled(file, specifier, packages);
      }
    };
    for (const module of [modules].flat()) await visit(module);
    const sorted = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1));
    // Node compresses, parses and prints: its version is an input like those of the packages.
    const installed = [...packages.values(), `node ${process.versions.node}`];
    return { files: Object.fromEntries(sorted), packages: installed.toSorted() };
  }

  /** The modules from which a package's front door has `names`; the door itself where it cannot be told. */
  async #behind(door: string, names: readonly string[] | undefined): Promise<string[]> {
    const { imports } = await this.#read(door);
    const from = (name: string): string | undefined =>
      imports.find((each) => each.names?.includes(name))?.specifier;
    const found = names?.map(from) ?? [undefined];
    // A name from another package's front door is found from this one.
    if (!found.every((specifier) => specifier?.startsWith('.') === true)) return [door];
    return found.flatMap((specifier) => (specifier === undefined ? [] : [resolve(dirname(door), specifier)]));
  }

  #read(file: string): Promise<Source> {
    let found = this.#sources.get(file);
    if (found === undefined) {
      found = readFile(file).then((bytes) => ({
        imports: importsIn(bytes.toString()),
        sha256: createHash('sha256').update(bytes).digest('hex'),
      }));
      this.#sources.set(file, found);
    }
    return found;
  }
}

/** What a TypeScript source asks of other modules when it runs, in the project's style: named imports, single quotes. */
export function importsIn(source: string): Import[] {
  const found: Import[] = [];
  const statements =
    /^(?:import\s(?!type\s)(?:(?<clause>(?:\/\/.*\n|\/\*[^]*?\*\/|[^'";/])*?)\sfrom\s)?\s*|export\s(?<exported>[*{](?:\/\/.*\n|\/\*[^]*?\*\/|[^'";/])*?)\sfrom\s*)'(?<specifier>[^']+)'/gm;
  for (const { groups } of source.matchAll(statements)) {
    const { clause, exported, specifier = '' } = groups ?? {};
    const words = (clause ?? exported ?? '').replaceAll(/\/\/.*|\/\*[^]*?\*\//g, '');
    const braces = /^\s*\{([^}]*)\}\s*$/.exec(words)?.[1];
    if (braces === undefined) {
      found.push({ specifier, names: undefined });
      continue;
    }
    const names = braces
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '))
      .map((name) => (exported === undefined ? name.replace(/\sas\s.*/, '') : name.replace(/.*\sas\s/, '')));
    if (names.length > 0) found.push({ specifier, names });
  }
  for (const [, specifier = ''] of source.matchAll(/\bimport\((?:\s|\/\*[^]*?\*\/)*'([^']+)'/g))
    found.push({ specifier, names: undefined });
  return found;
}

/**
 * What code means, as a value that another comment, line break or type does not change: the sources as the machine reads them, by their
 * places below `base`.
 */
export async function meaningOf({ files, packages }: TaskCode, base: string): Promise<Json> {
  const sources = await Promise.all(
    Object.keys(files).map(async (file) => {
      const { code } = await transform(await readFile(file, 'utf8'), {
        loader: 'ts',
        minifyWhitespace: true,
        legalComments: 'none',
        target: 'esnext',
      });
      return [file.startsWith(`${base}/`) ? file.slice(base.length + 1) : file, code] as const;
    }),
  );
  return { sources: Object.fromEntries(sources), packages };
}

/** `node_modules/<name>` of the folder nearest above `file`. */
async function packageFolder(file: string, name: string): Promise<string> {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    const found = await realpath(candidate).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
      throw error;
    });
    if (found !== undefined) return found;
    if (folder === dirname(folder))
      throw new MblError('builder/missing-file', `${file} imports ${name}, which is not installed.`, {
        remedy: 'Run ./mbl again: it installs what is missing.',
      });
  }
}

async function frontDoor(file: string, name: string): Promise<string> {
  return join(await packageFolder(file, name), 'src/index.ts');
}

/** Adds a package of npm, by its folder, and what it depends on; not the optional ones, which differ between machines. */
async function addInstalled(file: string, specifier: string, found: Map<string, string>): Promise<void> {
  const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
  const folder = await packageFolder(file, name);
  if (found.has(folder)) return;
  const { version, dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    version?: string;
    dependencies?: object;
  };
  found.set(folder, `${name} ${version ?? ''}`);
  const inside = join(folder, 'package.json');
  for (const each of Object.keys(dependencies ?? {})) await addInstalled(inside, each, found);
}
