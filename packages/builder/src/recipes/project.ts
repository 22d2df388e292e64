// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { displayPath, formatPosition, located, object, optional, path, paths } from '@mbl/formats';
import { errnoOf } from '../engine/errno.ts';
import { loadFile, mustExist } from './files.ts';

const recipeName = located(/^[a-z0-9][a-z0-9-]{0,63}$/, 'the name of a recipe');

/** The keys of a project file. Each is explained in docs/reference/project-file.md. */
const projectShape = object({
  machine: optional(recipeName),
  image: optional(recipeName),
  layers: optional(paths()),
  keys: optional(path()),
});

/** What is built where no option says otherwise. Paths are absolute. */
export interface Project {
  readonly file: string;
  readonly machine: string | undefined;
  readonly image: string | undefined;
  readonly layers: readonly string[] | undefined;
  /** The folder of a key set. */
  readonly keys: string | undefined;
  /** An error about the machine or the image that the file names, with its place in the file; any other error as it is. */
  readonly locate: (error: unknown) => unknown;
}

/** Reads a project file. Throws `formats/bad-recipe` (details: file, line, column) and `builder/missing-file`. */
export async function readProject(file: string): Promise<Project> {
  const node = await loadFile(file, 'the project').catch((cause: unknown) => {
    if (cause instanceof MblError || errnoOf(cause) === undefined) throw cause;
    throw new MblError('builder/missing-file', `${displayPath(file)} cannot be read.`, {
      remedy: `Name a project file; docs/reference/project-file.md says what stands in it.`,
      cause,
    });
  });
  const { machine, image, layers, keys } = projectShape.complete(projectShape.read(node), node.at, '');
  await Promise.all(node.recipe.paths.map(mustExist));
  const named = { 'builder/unknown-machine': machine, 'builder/unknown-image': image };
  return {
    file,
    machine: machine?.value,
    image: image?.value,
    layers: layers?.map(({ value }) => value),
    keys: keys?.value,
    locate(error) {
      if (!(error instanceof MblError)) return error;
      const culprit = Object.entries(named).find(([code]) => code === error.code)?.[1];
      if (culprit === undefined || error.details?.['name'] !== culprit.value) return error;
      return new MblError(error.code, `${formatPosition(culprit.at)}: ${error.message}`, {
        ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        cause: error,
        details: { ...error.details, ...culprit.at },
      });
    },
  };
}
