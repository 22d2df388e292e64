// SPDX-License-Identifier: Apache-2.0
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { readDeb } from '../debian/deb.ts';
import { displayPath } from '@mbl/formats';
import { hashFile } from '../engine/tree.ts';

/** A .deb file of a layer. */
export interface LocalPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  /** Absolute path. */
  readonly file: string;
  /** For each dependency the names that satisfy it, the preferred one first. */
  readonly depends: readonly (readonly string[])[];
}

/** An image's packages, by where they come from. */
export interface PackageSplit {
  /** To ask the suite for: what the image names, and what the local packages depend on. */
  readonly suite: readonly string[];
  /** From the layers' folders, sorted by name. They replace packages of the suite of the same name. */
  readonly local: readonly LocalPackage[];
}

/**
 * Reads the .deb files in the layers' folders, by package name; a later folder wins. Throws `builder/bad-archive`, and
 * `builder/local-package` for one without a name, for another
 * architecture, or there twice in a folder.
 */
export async function readLocalPackages(
  folders: readonly string[],
  architecture: string,
  signal?: AbortSignal,
): Promise<Map<string, LocalPackage>> {
  const found = new Map<string, LocalPackage>();
  for (const folder of folders) {
    const here = new Map<string, LocalPackage>();
    for (const entry of (await readdir(folder)).filter((name) => name.endsWith('.deb')).toSorted()) {
      const local = await readLocalPackage(join(folder, entry), signal);
      const twin = here.get(local.name);
      if (twin !== undefined)
        throw new MblError(
          'builder/local-package',
          `${displayPath(twin.file)} and ${displayPath(local.file)} both hold the package "${local.name}".`,
          { remedy: 'Remove one of them.', details: { file: local.file } },
        );
      if (local.architecture !== architecture && local.architecture !== 'all')
        throw new MblError(
          'builder/local-package',
          `${displayPath(local.file)} is for ${local.architecture}, the machine is ${architecture}.`,
          { remedy: `Build the package for ${architecture}.`, details: { file: local.file } },
        );
      here.set(local.name, local);
    }
    for (const [name, local] of here) found.set(name, local);
  }
  return found;
}

async function readLocalPackage(file: string, signal?: AbortSignal): Promise<LocalPackage> {
  const { control } = await readDeb(file, displayPath(file), signal);
  const field = (name: string): string => control.get(name) ?? '';
  if (!/^[a-z0-9][a-z0-9+.-]+$/.test(field('Package')) || field('Version') === '')
    throw new MblError('builder/local-package', `${displayPath(file)} does not say its name and version.`, {
      remedy: 'Build the package again with dpkg-deb.',
      details: { file },
    });
  const { size } = await stat(file);
  return {
    name: field('Package'),
    version: field('Version'),
    architecture: field('Architecture'),
    sha256: await hashFile(file),
    size,
    file,
    depends: [...parseDepends(field('Pre-Depends')), ...parseDepends(field('Depends'))],
  };
}

/** Debian policy §7.1: clauses by comma, alternatives by bar; versions and architectures in brackets are left to the suite. */
export function parseDepends(field: string): string[][] {
  return field
    .split(',')
    .map((clause) =>
      clause
        .split('|')
        .map((alternative) => /^\s*([a-z0-9][a-z0-9+.-]+)/.exec(alternative)?.[1] ?? '')
        .filter((name) => name !== ''),
    )
    .filter((names) => names.length > 0);
}

/** Sorts out which of `wanted` come from `local`, with what those depend on. */
export function splitPackages(
  wanted: readonly string[],
  local: ReadonlyMap<string, LocalPackage>,
): PackageSplit {
  const suite = new Set<string>();
  const chosen = new Map<string, LocalPackage>();
  const visit = (name: string): void => {
    const own = local.get(name);
    if (own === undefined) suite.add(name);
    if (own === undefined || chosen.has(name)) return;
    chosen.set(name, own);
    for (const alternatives of own.depends) {
      const next = alternatives.find((each) => local.has(each)) ?? alternatives[0];
      if (next !== undefined) visit(next);
    }
  };
  for (const name of wanted) visit(name);
  return { suite: [...suite], local: [...chosen.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}
