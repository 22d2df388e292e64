// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { osTeam, type Release } from '@mbl/formats';
import { localReleases, ofKind, readRepository, releasePath, teamsOf } from '@mbl/releases';

/** A release that devices can get here. */
export interface KnownRelease {
  readonly release: Release;
  /** When its description came into the repository. */
  readonly createdAt: Date;
}

interface Shelf {
  /** Tells one timestamp from the next. */
  readonly mark: string;
  readonly releases: readonly KnownRelease[];
}

/**
 * The releases of the repository that is served, as its metadata has them. Who signed them is asked when they are published, and by every
 * device: here they are only shown. Read anew when the timestamp is another one.
 */
export class Catalogue {
  readonly folder: string;
  #shelf: Promise<Shelf> | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** All releases, oldest first by their names. Throws what reading a damaged repository throws. */
  async list(): Promise<readonly KnownRelease[]> {
    return (await this.#current()).releases;
  }

  async find(name: string, team: string = osTeam): Promise<KnownRelease | undefined> {
    return (await this.list()).find(({ release }) => release.name === name && release.team === team);
  }

  /** The names of the releases of the operating system whose root is of a build. */
  async ofBuild(buildId: string): Promise<string[]> {
    return (await this.list())
      .filter(({ release }) => release.team === osTeam && hasRoot(release, (id) => id === buildId))
      .map(({ release }) => release.name);
  }

  async #current(): Promise<Shelf> {
    const mark = await markOf(this.folder);
    const shelf = await this.#shelf?.catch(() => undefined);
    if (shelf?.mark === mark) return shelf;
    const fresh = read(this.folder).then((releases) => ({ mark, releases }));
    this.#shelf = fresh;
    return await fresh;
  }
}

/** Whether one of its images brings a root, of a build that is meant. */
export function hasRoot({ images }: Release, isMeant: (buildId: string) => boolean = () => true): boolean {
  return images.some(
    ({ buildId, components }) => isMeant(buildId) && components.some(({ name }) => name === 'root'),
  );
}

async function read(folder: string): Promise<KnownRelease[]> {
  const state = await readRepository(folder);
  const { published } = state;
  const found: KnownRelease[] = [];
  for (const team of teamsOf(state)) {
    const targets = ofKind(published, team, 'targets')?.signed;
    for (const { release } of await localReleases(folder, targets, undefined)) {
      const path = releasePath(release.team, release.name);
      const digest = targets?.targets[path]?.hashes['sha256'] ?? '';
      const { mtime } = await stat(join(folder, 'targets', dirname(path), `${digest}.${basename(path)}`));
      found.push({ release, createdAt: mtime });
    }
  }
  return found;
}

async function markOf(folder: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(join(folder, 'metadata', 'timestamp.json'));
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
