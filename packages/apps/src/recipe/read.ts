// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  displayPath,
  isAppVariable,
  parseRecipe,
  portProblem,
  type Position,
  recipeError,
  resourceProblem,
  volumeProblem,
} from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { type AppFile, appShape, defaults } from './app-file.ts';

/** `app.yaml`, and where its keys stand, for errors that come later. */
export interface LoadedApp {
  readonly file: string;
  readonly app: AppFile;
  readonly at: Position;
}

const mostBytes = 256 * 1024;

/** Reads the `app.yaml` of a folder. Throws `apps/no-app`, and `formats/bad-recipe` with file, line and column. */
export async function loadApp(folder: string): Promise<LoadedApp> {
  const file = join(resolve(folder), 'app.yaml');
  let bytes: Buffer;
  try {
    // O_NONBLOCK: a named pipe without a writer would be waited for without end.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(mostBytes + 1) });
    bytes = buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw new MblError('apps/no-app', `There is no ${displayPath(file)}.`, {
      remedy: 'Make an app with: ./mbl app new NAME',
      cause,
    });
  }
  return readApp(file, bytes);
}

/** Reads `app.yaml`. Throws `formats/bad-recipe`, and nothing else. */
export function readApp(file: string, bytes: Uint8Array): LoadedApp {
  const node = parseRecipe(file, bytes, 'the app');
  const app = appShape.complete(appShape.read(node), node.at, '');
  check(app, node.at);
  return { file, app, at: node.at };
}

/** What no single value can tell. */
function check(app: AppFile, at: Position): void {
  const fail = (place: Position, what: string) => recipeError('formats/bad-recipe', place, what);
  const { source, permissions, environment = [], volumes = [], resources = [], health, command } = app;
  const sources = [source.image, source.root, source.containerfile, source.registry].filter(
    (one) => one !== undefined,
  );
  if (sources.length > 1) throw fail(at, '"source" must name one of image, root, containerfile and registry');
  if (command?.length === 0 || health?.command.length === 0) throw fail(at, 'a command must have a program');
  for (const { name, at: place } of environment)
    if (!isAppVariable(name)) throw fail(place, `"${name}" is no name of a variable`);
  const ports = (permissions.ports ?? []).map(({ name, at: place, part }) => {
    const { port, protocol = defaults.protocol, published = port } = part;
    return { name, protocol, published, place };
  });
  const folders = volumes.map(({ name, at: place, part }) => ({ name, path: part.path, place }));
  for (const [i, one] of ports.entries()) refuse(portProblem(one, ports.slice(0, i)), one.place);
  for (const [i, one] of folders.entries()) refuse(volumeProblem(one, folders.slice(0, i)), one.place);
  for (const [i, one] of resources.entries()) refuse(resourceProblem(one, resources.slice(0, i)), at);
}

function refuse(problem: string | undefined, at: Position): void {
  if (problem !== undefined) throw recipeError('formats/bad-recipe', at, problem);
}
