// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** The folders that the workbench reads and writes. Absolute paths. */
export interface Workspace {
  /** The working copy: `os/`, `packages/`, `tests/`. */
  readonly root: string;
  /** Keys, service, boards. `MBL_STATE`, or `.mbl` in the working copy. */
  readonly state: string;
  /** Images. `build` beside the state. */
  readonly build: string;
  /** Downloads and task outputs. `MBL_CACHE`, or the user's cache. */
  readonly cache: string;
}

/** The project file of a folder: its own `mbl.yaml`, or that of the nearest folder above it, up to the top of a working copy. */
export function findProject(folder: string): string | undefined {
  for (let place = folder; ; place = dirname(place)) {
    const file = join(place, 'mbl.yaml');
    if (existsSync(file)) return file;
    if (place === dirname(place) || existsSync(join(place, '.git'))) return undefined;
  }
}

/** The version of this working copy, as in its package.json. */
export function readVersion({ root }: Workspace): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** The workspace's repository of releases, which its service serves to devices. */
export function releasesFolder({ state }: Workspace): string {
  return join(state, 'releases');
}

/** The folder of the key set: the one that `--keys` names, or the workspace's own. */
export function keysFolder({ state }: Workspace, given: string | undefined): string {
  return given === undefined ? join(state, 'keys') : resolve(given);
}

export function findWorkspace(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  root: string = resolve(import.meta.dirname, '../../..'),
): Workspace {
  const own = (name: string) => environment[name] || undefined;
  const state = own('MBL_STATE');
  return {
    root,
    state: state === undefined ? join(root, '.mbl') : resolve(state),
    build: state === undefined ? join(root, 'build') : join(resolve(state), 'build'),
    cache: resolve(own('MBL_CACHE') ?? join(own('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'mbl')),
  };
}
