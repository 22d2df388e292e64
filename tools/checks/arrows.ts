// SPDX-License-Identifier: Apache-2.0
import { dirname, join } from 'node:path/posix';
import type { Finding, SourceFile } from './check.ts';
import { findImports, type Import } from './imports.ts';

/** Which package may import which: read from the table of folders in ARCHITECTURE.md, so that page and check cannot differ. */
export type Arrows = ReadonlyMap<string, ReadonlySet<string>>;

/** A package.json, as far as the check reads it. */
export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export function readArrows(architecture: string): Arrows {
  const cells = new Map<string, string>();
  for (const match of architecture.matchAll(/^\| `packages\/([a-z0-9-]+)` \|[^|]*\|([^|]*)\|$/gm)) {
    cells.set(match[1] ?? '', (match[2] ?? '').trim());
  }
  return new Map(
    [...cells].map(([name, cell]) => {
      const names = cell.split(',').map((part) => part.trim());
      return [name, new Set(names.filter((part) => part !== ''))];
    }),
  );
}

interface Context {
  readonly arrows: Arrows;
  readonly manifests: ReadonlyMap<string, Manifest>;
  readonly root: Manifest;
}

/**
 * Holds every import against the arrows: only allowed packages, only through their front door (`@mbl/x`), only what package.json
 * names, and no circle of packages, of a package's folders or of modules.
 */
export function checkArrows(sources: readonly SourceFile[], context: Context): Finding[] {
  const findings: Finding[] = [];
  const packages = new Map<string, Set<string>>();
  const modules = new Map<string, Set<string>>();
  const folders = new Map<string, Set<string>>();
  for (const source of sources) {
    if (!source.path.endsWith('.ts')) continue;
    const owner = ownerOf(source.path);
    for (const found of findImports(source.text)) {
      const message = judge(source.path, owner, found, context);
      if (message !== undefined) findings.push({ file: source.path, line: found.line, message });
      const target = /^@mbl\/([^/]+)/.exec(found.specifier)?.[1];
      if (owner !== undefined && target !== undefined) add(packages, owner, target);
      if (found.specifier.startsWith('.') && !found.typeOnly && !found.lazy) {
        add(modules, source.path, join(dirname(source.path), found.specifier));
      }
      const [from, to] = [source.path, join(dirname(source.path), found.specifier)].map(folderOf);
      const inSources = found.specifier.startsWith('.') && !isTest(source.path);
      if (inSources && from !== undefined && to !== undefined && from !== to) add(folders, from, to);
    }
  }
  for (const name of context.manifests.keys()) {
    if (!context.arrows.has(name)) {
      findings.push({
        file: 'ARCHITECTURE.md',
        message: `the table of folders has no row for packages/${name}`,
      });
    }
  }
  for (const circle of [...findCircles(packages), ...findCircles(modules), ...findCircles(folders)]) {
    findings.push({
      file: circle[0] ?? '',
      message: `imports itself in a circle: ${[...circle, circle[0]].join(' -> ')}`,
    });
  }
  return findings;
}

/** What is allowed and not used: arrows of the table, dependencies of a package. An arrow that nobody needs hides the next wrong one. */
export function checkUnused(
  sources: readonly SourceFile[],
  { arrows, manifests }: Pick<Context, 'arrows' | 'manifests'>,
): Finding[] {
  const used = new Map<string, Set<string>>();
  for (const { path, text } of sources) {
    const owner = ownerOf(path);
    if (owner === undefined || !path.endsWith('.ts')) continue;
    for (const { specifier } of findImports(text)) add(used, owner, dependencyOf(specifier));
  }
  const findings: Finding[] = [];
  for (const [owner, allowed] of arrows) {
    for (const name of allowed) {
      if (used.get(owner)?.has(`@mbl/${name}`) === true) continue;
      const message = `packages/${owner} may import packages/${name}, and does not: take the arrow out of the table of folders`;
      findings.push({ file: 'ARCHITECTURE.md', message });
    }
  }
  for (const [owner, { dependencies = {} }] of manifests) {
    for (const name of Object.keys(dependencies)) {
      if (used.get(owner)?.has(name) === true) continue;
      findings.push({
        file: `packages/${owner}/package.json`,
        message: `names '${name}', which no file there imports`,
      });
    }
  }
  return findings;
}

/** The folder of a package that a source lies in: `packages/x/src/folder`; undefined for the sources beside the folders. */
function folderOf(path: string): string | undefined {
  return /^(packages\/[^/]+\/src\/[^/]+)\//.exec(path)?.[1];
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.includes('/testing/');
}

/** What is wrong with an import, or undefined. */
function judge(
  path: string,
  owner: string | undefined,
  { specifier }: Import,
  context: Context,
): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  if (specifier.startsWith('.')) {
    const target = join(dirname(path), specifier);
    return homesOf(path, owner).some((home) => target.startsWith(home))
      ? undefined
      : `imports ${target} past the front door: import from '@mbl/<package>'`;
  }
  const [scope, name = '', ...rest] = specifier.split('/');
  if (scope === '@mbl') {
    if (rest.length > 0) return `imports '${specifier}' past the front door: import from '@mbl/${name}'`;
    if (!context.manifests.has(name)) return `imports '${specifier}': there is no such package`;
    if (owner === undefined) return undefined;
    if (owner === name) return `imports its own front door: import the file`;
    if (context.arrows.get(owner)?.has(name) !== true) {
      return `packages/${owner} must not import packages/${name} (see the table of folders in ARCHITECTURE.md)`;
    }
  }
  const dependency = dependencyOf(specifier);
  return named(path, owner, dependency, context)
    ? undefined
    : `imports '${dependency}', which package.json does not name`;
}

/** Where a source's neighbours lie. A bench boots its boards as the stories do. */
function homesOf(path: string, owner: string | undefined): readonly string[] {
  if (owner !== undefined) return [`packages/${owner}/src/`];
  return [`${path.split('/')[0]}/`, ...(path.startsWith('bench/') ? ['tests/support/'] : [])];
}

function named(
  path: string,
  owner: string | undefined,
  dependency: string,
  { manifests, root }: Context,
): boolean {
  if (owner === undefined)
    return dependency in (root.devDependencies ?? {}) || anyNames(manifests, dependency);
  const own = manifests.get(owner);
  const holders = [own?.dependencies, own?.optionalDependencies];
  // Tests also use what the whole working copy has for development.
  if (isTest(path)) holders.push(own?.devDependencies, root.devDependencies);
  return holders.some((holder) => holder !== undefined && dependency in holder);
}

function anyNames(manifests: ReadonlyMap<string, Manifest>, dependency: string): boolean {
  return [...manifests.values()].some(
    ({ dependencies = {}, optionalDependencies = {} }) =>
      dependency in dependencies || dependency in optionalDependencies,
  );
}

/** `@scope/name` or `name`: what package.json calls the package that holds a module. */
function dependencyOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function ownerOf(path: string): string | undefined {
  return /^packages\/([^/]+)\/src\//.exec(path)?.[1];
}

function add(graph: Map<string, Set<string>>, from: string, to: string): void {
  const targets = graph.get(from);
  if (targets === undefined) graph.set(from, new Set([to]));
  else targets.add(to);
}

/** The circles of a graph, each once, as the nodes in order: [a, b] means a -> b -> a. */
function findCircles(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string) => {
    const start = path.indexOf(node);
    if (start !== -1) {
      circles.push(path.slice(start));
      return;
    }
    if (done.has(node)) return;
    path.push(node);
    for (const next of [...(graph.get(node) ?? [])].toSorted()) visit(next);
    path.pop();
    done.add(node);
  };
  for (const node of [...graph.keys()].toSorted()) visit(node);
  return circles;
}
