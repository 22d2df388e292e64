// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FsVerityHasher } from '@mbl/blocks';
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
  type ReleaseComponent,
  type ReleaseFile,
  teamRule,
} from '@mbl/formats';
import { type KeyProfile, MblError } from '@mbl/trust';
import type { ComposedRelease } from './compose.ts';
import { componentPath, releasePath } from './paths.ts';

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
    const { app } = component;
    for (const file of [component, app?.description, app?.packages])
      if (file !== undefined) add(componentPath(team, file), file);
  }
  const all = createHash('sha256').update(components.map(({ sha256 }) => sha256).join());
  const image = { machine: appMachine, image: team, buildId: all.digest('hex').slice(0, 16), components };
  const text = formatRelease({ version: 1, team, name, keys, rollbackIndex, notes, images: [image] });
  // What nobody could read is not given out.
  const release = parseRelease(text, `release ${name}`);
  const path = releasePath(team, name);
  const bytes = Buffer.from(text);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await place(repository, path, sha256, (draft) => writeFile(draft, bytes, { flush: true }));
  add(path, { size: bytes.length, sha256 });
  return { release, targets: [...targets.values()] };
}

async function composeApp(
  folder: string,
  { team, repository, signal }: ComposeAppsOptions,
): Promise<ReleaseComponent> {
  const text = await readText(join(folder, description), maxAppBytes);
  if (text === undefined)
    throw new MblError('release/no-package', `There is no package of an app in ${folder}.`, {
      remedy: 'Make one with: ./mbl app build',
      details: { folder },
    });
  const app = parseApp(text, join(folder, description));
  await check(join(folder, app.image.file), app, folder, signal);
  const { file, size, sha256, fsVerity } = app.image;
  await place(repository, componentPath(team, app.image), sha256, (draft) =>
    copyFile(join(folder, file), draft),
  );
  const materials = await readText(join(folder, bill), mostBill);
  return {
    name: app.name,
    version: app.release,
    file,
    size,
    sha256,
    app: {
      fsVerity,
      description: await keep(repository, team, description, text),
      ...(materials === undefined ? {} : { packages: await keep(repository, team, bill, materials) }),
    },
    requires: [],
  };
}

/** Reads the file system of a package, and holds it against what its `app.json` says. */
async function check(path: string, app: AppDescription, folder: string, signal?: AbortSignal): Promise<void> {
  const sha256 = createHash('sha256');
  const verity = new FsVerityHasher();
  let size = 0;
  await using file = await open(path, 'r');
  for await (const piece of file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    sha256.update(piece as Buffer);
    verity.update(piece as Buffer);
    size += (piece as Buffer).length;
  }
  const { image } = app;
  if (size === image.size && sha256.digest('hex') === image.sha256 && verity.finish() === image.fsVerity)
    return;
  throw new MblError(
    'release/bad-package',
    `The package in ${folder} cannot be released: its image is not the one of its app.json.`,
    {
      remedy: 'Make it again with: ./mbl app build',
      details: { folder },
    },
  );
}

async function keep(repository: string, team: string, file: string, text: string): Promise<ReleaseFile> {
  const bytes = Buffer.from(text);
  const kept = { file, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  await place(repository, componentPath(team, kept), kept.sha256, (draft) =>
    writeFile(draft, bytes, { flush: true }),
  );
  return kept;
}

/** Whole or not there at all. Consistent snapshots: the digest stands before the name (TUF 1.0.34 §6.2). */
async function place(
  repository: string,
  path: string,
  sha256: string,
  write: (draft: string) => Promise<void>,
): Promise<void> {
  const target = join(
    repository,
    'targets',
    dirname(path),
    `${sha256}.${path.slice(path.lastIndexOf('/') + 1)}`,
  );
  await mkdir(dirname(target), { recursive: true });
  const draft = `${target}.${process.pid}`;
  try {
    await write(draft);
    await rename(draft, target);
  } finally {
    await rm(draft, { force: true });
  }
}
