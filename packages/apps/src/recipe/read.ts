// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { displayPath, parseRecipe, type Position, recipeError, resourceOperations } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { type AppFile, appShape } from './app-file.ts';

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
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,95}$/.test(name)) throw fail(place, `"${name}" is no name of a variable`);
  const names = new Set<string>();
  const published = new Map<string, string>();
  for (const { name, at: place, part } of permissions.ports ?? []) {
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) throw fail(place, `"${name}" is no name of a port`);
    if (names.has(name)) throw fail(place, `the port "${name}" is there twice`);
    names.add(name);
    const outside = `${part.published ?? part.port}/${part.protocol ?? 'tcp'}`;
    const other = published.get(outside);
    if (other !== undefined) throw fail(place, `"${name}" and "${other}" are both published as ${outside}`);
    published.set(outside, name);
  }
  const paths: { name: string; path: string }[] = [];
  for (const { name, at: place, part } of volumes) {
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) throw fail(place, `"${name}" is no name of a volume`);
    if (part.path === '/' || /^\/(?:dev|proc|run|sys)(?:\/|$)/.test(part.path))
      throw fail(place, `the volume "${name}" cannot be at ${part.path}`);
    for (const one of paths)
      if (
        one.name === name ||
        `${one.path}/`.startsWith(`${part.path}/`) ||
        `${part.path}/`.startsWith(`${one.path}/`)
      )
        throw fail(place, `the volumes "${one.name}" and "${name}" are in one another, or of one name`);
    paths.push({ name, path: part.path });
  }
  const known = new Set<string>();
  for (const { path, type, operations } of resources) {
    if (known.has(path)) throw fail(at, `the resource ${path} is there twice`);
    known.add(path);
    if (operations.length === 0 || new Set(operations).size < operations.length)
      throw fail(
        at,
        `the resource ${path} must have operations, each once: ${resourceOperations.join(', ')}`,
      );
    if ((type === 'none') !== operations.includes('execute') || (type === 'none' && operations.length > 1))
      throw fail(at, `the resource ${path}: "execute" is for the type "none", and it alone`);
  }
}
