// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOCK_SIZE, FsVerityHasher } from '@mbl/blocks';
import {
  type AppDescription,
  appMachine,
  formatRelease,
  isTeam,
  maxAppBytes,
  osTeam,
  parseApp,
  parseRelease,
  readText,
  type Release,
  type ReleaseComponent,
  type ReleaseFile,
  teamRule,
} from '@mbl/formats';
import { type KeyProfile, MblError } from '@mbl/trust';
import type { ComposedRelease } from './compose.ts';
import { componentPath, releasePath } from './paths.ts';
import { basesOf, makePayload } from './payload.ts';
import { keepFile, keepTarget } from './store.ts';

export interface ComposeAppsOptions {
  readonly team: string;
  readonly name: string;
  /** Folders of packages, as `mbl app build` makes them. */
  readonly packages: readonly string[];
  /** For which boards it is: nothing of an app is signed but this release. */
  readonly keys: KeyProfile;
  readonly rollbackIndex: number;
  readonly notes: string;
  /** The repository's folder. */
  readonly repository: string;
  /** The team's releases before this one, in their order: devices that run one of the newest of them copy what they have. */
  readonly before?: readonly Release[];
  /** Of zstd, for the payloads: 1 to 22; default 19. With less than 10 a release of 10 MB is there in a second. */
  readonly level?: number;
  readonly signal?: AbortSignal;
}

const description = 'app.json';
const bill = 'packages.cdx.json';
const mostBill = 16 << 20;

/**
 * Makes a release of an app's team: its packages, which devices switch to together. The same packages give the same release.
 *
 * Throws `release/no-package`, `release/bad-package` for one that is not what its `app.json` says, `release/bad-role`, `formats/bad-app`,
 * `formats/bad-release`.
 */
export async function composeApps(options: ComposeAppsOptions): Promise<ComposedRelease> {
  const { team, name, repository, keys, rollbackIndex, notes } = options;
  if (!isTeam(team) || team === osTeam)
    throw new MblError('release/bad-role', `The team of an app cannot be called "${team}".`, {
      remedy: `Its name must be ${teamRule}; "${osTeam}" has the operating system.`,
    });
  const targets = new Map<string, { path: string; length: number; sha256: string }>();
  const add = (path: string, { size, sha256 }: Omit<ReleaseFile, 'file'>) =>
    targets.set(path, { path, length: size, sha256 });
  const components: ReleaseComponent[] = [];
  for (const folder of options.packages) {
    const component = await composeApp(folder, options);
    components.push(component);
    const { app, payload } = component;
    for (const file of [component, payload, app?.description, app?.packages])
      if (file !== undefined) add(componentPath(team, file), file);
  }
  const all = createHash('sha256').update(components.map(({ sha256 }) => sha256).join());
  const image = { machine: appMachine, image: team, buildId: all.digest('hex').slice(0, 16), components };
  const text = formatRelease({ version: 1, team, name, keys, rollbackIndex, notes, images: [image] });
  // What nobody could read is not given out.
  const release = parseRelease(text, `release ${name}`);
  const path = releasePath(team, name);
  add(path, await keepTarget(repository, path, Buffer.from(text)));
  return { release, targets: [...targets.values()] };
}

async function composeApp(folder: string, options: ComposeAppsOptions): Promise<ReleaseComponent> {
  const { before = [], level = 19, signal = new AbortController().signal } = options;
  const text = await readText(join(folder, description), maxAppBytes);
  if (text === undefined)
    throw new MblError('release/no-package', `There is no package of an app in ${folder}.`, {
      remedy: 'Make one with: ./mbl app build',
      details: { folder },
    });
  const app = parseApp(text, join(folder, description));
  const from = join(folder, app.image.file);
  await check(from, app, folder, signal);
  await using image = await open(from, 'r');
  const kept = await keepFile(options, app.image.file, async (write) => {
    for await (const piece of image.createReadStream({ autoClose: false, highWaterMark: 1 << 20, signal }))
      await write(piece as Buffer);
  });
  if (kept.sha256 !== app.image.sha256) throw badPackage(folder, 'its image is being changed');
  const keepText = (file: string, content: string) =>
    keepFile(options, file, (write) => write(Buffer.from(content)));
  const materials = await readText(join(folder, bill), mostBill);
  const component: ReleaseComponent = {
    name: app.name,
    version: app.release,
    ...kept,
    app: {
      fsVerity: app.image.fsVerity,
      description: await keepText(description, text),
      ...(materials === undefined ? {} : { packages: await keepText(bill, materials) }),
    },
    requires: [],
  };
  const bases = basesOf(before, appMachine)(app.name);
  return { ...component, payload: await makePayload(component, { ...options, bases, level, signal }) };
}

/** Reads the file system of a package, and holds it against what its `app.json` says. */
async function check(path: string, app: AppDescription, folder: string, signal: AbortSignal): Promise<void> {
  const sha256 = createHash('sha256');
  const verity = new FsVerityHasher();
  let size = 0;
  await using file = await open(path, 'r');
  for await (const piece of file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 })) {
    signal.throwIfAborted();
    sha256.update(piece as Buffer);
    verity.update(piece as Buffer);
    size += (piece as Buffer).length;
  }
  const { image } = app;
  const same =
    size === image.size && sha256.digest('hex') === image.sha256 && verity.finish() === image.fsVerity;
  if (!same) throw badPackage(folder, 'its image is not the one of its app.json');
  // A device makes it of whole blocks, and the file has to end where the last one does.
  if (size === 0 || size % BLOCK_SIZE !== 0)
    throw badPackage(folder, `its image is not whole blocks of ${BLOCK_SIZE} bytes`);
}

function badPackage(folder: string, why: string): MblError {
  return new MblError('release/bad-package', `The package in ${folder} cannot be released: ${why}.`, {
    remedy: 'Make it again with: ./mbl app build',
    details: { folder },
  });
}
