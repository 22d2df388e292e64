// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { maxReleaseBytes, parseRelease, readText, type Release, type ReleaseFile } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Targets } from '@tufjs/models';
import { componentPath, releaseOf } from './paths.ts';

/** A release as it lies in its owner's folder. */
export interface LocalRelease {
  readonly release: Release;
  /** Whether devices get it already. */
  readonly published: boolean;
}

const maxPackagesBytes = 16 << 20;

/**
 * The releases that one role names, published or staged, in the order of their names. Their files are held against the digests that the
 * metadata has; who signed that is not asked here: that is what `acceptRelease` is for. Throws `release/wrong-content`, `release/missing`.
 */
export async function localReleases(
  folder: string,
  published: Targets | undefined,
  staged: Targets | undefined,
): Promise<LocalRelease[]> {
  const found: LocalRelease[] = [];
  const targets = { ...published?.targets, ...staged?.targets };
  for (const [path, { hashes }] of Object.entries(targets).toSorted(([a], [b]) => collator.compare(a, b))) {
    if (releaseOf(path) === undefined) continue;
    const text = await readFile(folder, path, hashes['sha256'] ?? '', maxReleaseBytes);
    found.push({
      release: parseRelease(text, path),
      published: Object.hasOwn(published?.targets ?? {}, path),
    });
  }
  return found;
}

/** The bill of materials of a release's image. */
export async function readBill(folder: string, team: string, file: ReleaseFile): Promise<string> {
  return await readFile(folder, componentPath(team, file), file.sha256, maxPackagesBytes);
}

/** Those of a team whose names come before that one, in their order: what devices may run that get it. */
export function releasesBefore(all: readonly LocalRelease[], team: string, name: string): Release[] {
  return all
    .map(({ release }) => release)
    .filter((release) => release.team === team && collator.compare(release.name, name) < 0)
    .toSorted((a, b) => collator.compare(a.name, b.name));
}

/** 1.10 after 1.9. */
const collator = new Intl.Collator('en', { numeric: true });

async function readFile(folder: string, path: string, sha256: string, most: number): Promise<string> {
  const file = join(folder, 'targets', dirname(path), `${sha256}.${path.slice(path.lastIndexOf('/') + 1)}`);
  const text = await readText(file, most);
  if (text === undefined)
    throw new MblError('release/missing', `The repository has no ${file}.`, {
      remedy: 'Copy the folder again, or take it from a backup.',
      details: { path },
    });
  if (createHash('sha256').update(text).digest('hex') !== sha256)
    throw new MblError('release/wrong-content', `The file ${file} has changed.`, {
      remedy: 'Copy the folder again, or take it from a backup.',
      details: { path },
    });
  return text;
}
