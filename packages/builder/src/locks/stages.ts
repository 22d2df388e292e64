// SPDX-License-Identifier: Apache-2.0
import { join, resolve } from 'node:path';
import { MblError } from '@mbl/trust';
import type { Image } from '../recipes/image.ts';
import type { Machine } from '../recipes/machine.ts';
import { loadRecipes, type Recipes } from '../recipes/recipes.ts';

/** A build as the distribution alone sees it, then with one layer more each: where it may keep its locks, and what it would ask for. */
export interface Stage {
  /** Folder of lock files: `os/locks`, `<layer>/locks`. */
  readonly folder: string;
  /** Undefined when this stage does not know the machine. */
  readonly machine: Machine | undefined;
  /** Undefined when this stage does not know the image. */
  readonly image: Image | undefined;
  /** The images that this one is based on, the nearest first. */
  readonly bases: readonly string[];
}

/** All stages of a build, the whole last. */
export interface Stages {
  readonly all: readonly Stage[];
  readonly whole: Stage & { readonly machine: Machine; readonly image: Image };
}

/** The stages of a build, from the distribution alone to all layers. Throws what `loadRecipes` and the recipes throw. */
export async function loadStages(
  osDirectory: string,
  layers: readonly string[],
  machine: string,
  image: string,
): Promise<Stages> {
  const folders = [osDirectory, ...layers].map((folder) => join(resolve(folder), 'locks'));
  const below = await Promise.all(
    folders.slice(0, -1).map(async (folder, count): Promise<Stage> => {
      const part = async <T>(read: (workspace: Recipes) => T): Promise<T | undefined> => {
        try {
          return read(await loadRecipes({ osDirectory, layers: layers.slice(0, count) }));
        } catch (error) {
          // A recipe may need what a later layer brings; the whole says what is really wrong.
          if (error instanceof MblError) return undefined;
          throw error;
        }
      };
      return {
        folder,
        machine: await part((recipes) => recipes.machine(machine)),
        image: await part((recipes) => recipes.image(image)),
        bases: (await part((recipes) => recipes.bases(image))) ?? [],
      };
    }),
  );
  const recipes = await loadRecipes({ osDirectory, layers });
  const whole = {
    folder: folders[layers.length] ?? '',
    machine: recipes.machine(machine),
    image: recipes.image(image),
    bases: recipes.bases(image),
  };
  return { all: [...below, whole], whole };
}

/** A lock that a stage would ask for; undefined when it does not know what the lock is about. */
export type RequestAt = (stage: Stage) => Promise<readonly string[] | undefined>;

/** Where a lock is, and where it starts from when it is not there yet. */
export interface LockPlace {
  readonly path: string;
  /** What is asked for. */
  readonly request: readonly string[];
  /** Locks of the stages and images below, the nearest first. */
  readonly seeds: readonly string[];
}

/**
 * A lock lies beside who decides what is asked for: with the distribution when the layers change nothing of it, or else with the first
 * layer from which on it is asked for as in the whole. So a product's lock never touches the distribution's.
 *
 * `file` is the lock's path below a folder of locks, without its ending; `bases` are those of the locks to start from, nearest first.
 */
export async function placeLock(
  stages: Stages,
  file: string,
  requestAt: RequestAt,
  bases: readonly string[] = [],
): Promise<LockPlace> {
  const { all, whole } = stages;
  const request = (await requestAt(whole)) ?? [];
  let own: Stage = whole;
  for (const stage of all) {
    const other = await requestAt(stage);
    if (other === undefined || !sameRequest(other, request)) continue;
    own = stage;
    break;
  }
  const pathOf = (stage: Stage, name: string): string => join(stage.folder, `${name}.json`);
  const below = all.slice(0, all.indexOf(own)).toReversed();
  return {
    path: pathOf(own, file),
    request,
    seeds: [
      ...below.map((stage) => pathOf(stage, file)),
      ...bases.flatMap((base) => [own, ...below].map((stage) => pathOf(stage, base))),
    ],
  };
}

/** Whether a lock that was made for `a` answers `b`. */
export function sameRequest(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((entry, i) => entry === b[i]);
}
