// SPDX-License-Identifier: Apache-2.0
import { FsVerityHasher } from '@mbl/blocks';
import {
  type AppDescription,
  appMachine,
  maxAppBytes,
  osTeam,
  parseApp,
  type Release,
  type ReleaseComponent,
  type ReleaseFile,
} from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Client, Target } from '../tuf/client.ts';
import { acceptRelease, type Board, checkPayload, readText } from './accept.ts';
import { componentPath } from './paths.ts';

/** An app of a release that a board may install; its file system has not been fetched yet. */
export interface AcceptedApp {
  readonly app: AppDescription;
  readonly component: ReleaseComponent;
  /** Of the file system. */
  readonly target: Target;
  /** Of the file that it is made from; absent where an older program made the release. */
  readonly payload?: Target;
}

/**
 * What makes a board accept a release of an app's team: all that makes it accept one of the operating system, and that each app's `app.json` is
 * vouched for by the same team and names the very file system of the release. Apps of a team are its own: what else it signs is not looked at.
 *
 * Throws what `acceptRelease` does, `release/mixed-up`, `formats/bad-app`.
 */
export async function acceptApps(
  client: Client,
  { team, name }: { readonly team: string; readonly name: string },
  board: Omit<Board, 'machine'>,
): Promise<{ readonly release: Release; readonly apps: readonly AcceptedApp[] }> {
  if (team === osTeam)
    throw new MblError('release/mixed-up', `The team ${osTeam} has the operating system, and no apps.`, {
      details: { team, name },
    });
  const { release, components } = await acceptRelease(
    client,
    { team, name },
    { ...board, machine: appMachine },
  );
  const apps: AcceptedApp[] = [];
  for (const { component, target, payload } of components) {
    if (component.app === undefined) throw refuse(release, `nothing describes ${component.name}`);
    const described = await vouched(client, release, component.app.description, target.role);
    const app = parseApp(await readText(client, described, maxAppBytes), described.path);
    const { image } = app;
    const same =
      app.name === component.name &&
      app.release === component.version &&
      image.file === component.file &&
      image.size === component.size &&
      image.sha256 === component.sha256 &&
      image.fsVerity === component.app.fsVerity;
    if (!same) throw refuse(release, `the description of ${component.name} is of another one`);
    apps.push({ app, component, target, ...(payload && { payload }) });
  }
  return { release, apps };
}

/**
 * Reads every byte of an app's file system, and of its payload: size and digest, and that the kernel will measure the digest that was signed. Throws
 * `release/wrong-content`, `release/missing`, `release/too-large`.
 */
export async function checkApp(
  client: Client,
  { app, component, target, payload }: AcceptedApp,
  onBytes: (size: number) => void = () => undefined,
): Promise<void> {
  if (payload !== undefined && component.payload !== undefined)
    await checkPayload(client, payload, component.payload, onBytes);
  const verity = new FsVerityHasher();
  for await (const piece of client.read(target)) {
    verity.update(piece);
    onBytes(piece.length);
  }
  if (verity.finish() === app.image.fsVerity) return;
  throw new MblError(
    'release/wrong-content',
    `The fs-verity digest of ${app.name} is not the one that was signed.`,
    {
      remedy: 'Make the release again from its package.',
      details: { path: target.path },
    },
  );
}

async function vouched(client: Client, release: Release, file: ReleaseFile, role: string): Promise<Target> {
  const path = componentPath(release.team, file);
  const target = await client.find(path);
  if (target === undefined || target.role !== role)
    throw refuse(release, `nobody of its team vouches for ${path}`);
  if (target.hashes.sha256 !== file.sha256 || target.length !== file.size)
    throw refuse(release, `${path} is another file`);
  return target;
}

function refuse({ team, name }: Release, why: string): MblError {
  return new MblError('release/mixed-up', `The release ${name} of the team ${team} is refused: ${why}.`, {
    details: { team, name },
  });
}
