// SPDX-License-Identifier: Apache-2.0
import { copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';
import { localReleases } from '../release/local.ts';
import { fetchedTargets, mapsOf } from '../release/files.ts';
import { ofKind, type RepositoryState } from './roles.ts';

export interface ExportOptions {
  readonly team: string;
  readonly name: string;
  readonly onFile?: (file: string, done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

/** What a device needs for a release, in the order in which it may come: each file of the repository, by its path there. */
export interface ReleaseFiles {
  /** What the release brings: the names of some have their digests. */
  readonly brought: readonly string[];
  readonly maps: readonly string[];
  /** The timestamp comes last. */
  readonly metadata: readonly string[];
}

/**
 * Copies what a device needs for one published release into another folder: metadata, and the files that the release brings. The
 * timestamp comes last. Throws `release/unknown-release`, and what `localReleases` throws.
 */
export async function exportRelease(
  folder: string,
  state: RepositoryState,
  target: string,
  { team, name, onFile, signal }: ExportOptions,
): Promise<string[]> {
  const { brought, maps, metadata } = await releaseFiles(folder, state, { team, name });
  const files = [...brought, ...maps, ...metadata];
  for (const [done, file] of files.entries()) {
    signal?.throwIfAborted();
    onFile?.(file, done, files.length);
    // A target's name has its digest: one that is there is the same.
    if (brought.includes(file) && (await sizeOf(join(target, file))) === (await sizeOf(join(folder, file))))
      continue;
    await copyWhole(join(folder, file), join(target, file));
  }
  return files;
}

/** Throws `release/unknown-release`, and what `localReleases` throws. */
export async function releaseFiles(
  folder: string,
  state: RepositoryState,
  { team, name }: Pick<ExportOptions, 'team' | 'name'>,
): Promise<ReleaseFiles> {
  const targets = ofKind(state.published, team, 'targets')?.signed;
  const releases = await localReleases(folder, targets, undefined);
  const found = releases.find(({ release }) => release.name === name);
  if (targets === undefined || found === undefined)
    throw new MblError(
      'release/unknown-release',
      `${folder} has no published release ${name} of the team ${team}.`,
      {
        remedy: 'See what there is with: ./mbl release show',
        details: { team, name },
      },
    );
  const brought = fetchedTargets(found.release).map((path) => {
    const sha256 = targets.targets[path]?.hashes['sha256'];
    return join('targets', dirname(path), `${sha256}.${path.slice(path.lastIndexOf('/') + 1)}`);
  });
  const maps = mapsOf(found.release).map((path) => join('targets', path));
  // Every root: a device goes from the one that it knows to the newest, step by step (TUF 1.0.34 §5.3).
  const roots = (await readdir(join(folder, 'metadata'))).filter((file) => /^\d+\.root\.json$/.test(file));
  const rest = [...state.published]
    .filter(([role]) => role !== 'root' && role !== 'timestamp')
    .map(([role, { signed }]) => `${signed.version}.${role}.json`);
  const metadata = [...roots, ...rest, 'timestamp.json'].map((file) => join('metadata', file));
  return { brought, maps, metadata };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** A stick is pulled out as soon as the command ends: each file is on it before the next one. */
async function copyWhole(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  const draft = `${to}.part`;
  try {
    await copyFile(from, draft);
    await using file = await open(draft, 'r+');
    await file.sync();
    await rename(draft, to);
  } finally {
    await rm(draft, { force: true });
  }
}
