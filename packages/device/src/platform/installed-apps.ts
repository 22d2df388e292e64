// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isReleaseName, maxAppOrder, parseRelease, readRecord, readText } from '@mbl/formats';

/** An app that is installed: where its image lies, and by what a copy map names it. */
export interface InstalledApp {
  /** fs-verity digest of its image. */
  readonly fsVerity: string;
  /** Of its payload's tree. */
  readonly rootHash: string;
}

const mostStateBytes = 64 * 1024;
const mostValues = 8192;
const anything = /^[^]*$/;

/**
 * What the app manager has installed, read for what need not be fetched again. Nothing here is believed: a block that is not what it should be is found when its
 * group is checked.
 */
export class InstalledApps {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  image(fsVerity: string): string {
    return join(this.#folder, 'images', `${fsVerity}.erofs`);
  }

  async hasImage(fsVerity: string, size: number): Promise<boolean> {
    return await stat(this.image(fsVerity)).then(
      (found) => found.isFile() && found.size === size,
      () => false,
    );
  }

  /** The highest rollback index that was accepted of a team; 0 for none. */
  async acceptedIndex(team: string): Promise<number> {
    try {
      return (await this.#read(join('accepted', `${team}.json`), mostStateBytes)).integer('rollbackIndex');
    } catch {
      return 0;
    }
  }

  /** The apps of the release of a team that runs, and where that lacks one, of the one before it. */
  async appsOf(team: string): Promise<ReadonlyMap<string, InstalledApp>> {
    const found = new Map<string, InstalledApp>();
    try {
      const state = await this.#read(join('teams', team, 'state.json'), mostStateBytes);
      for (const member of ['previous', 'current']) {
        const name = state.is(member, '') ? '' : state.string(member);
        if (isReleaseName(name)) for (const [app, one] of await this.#appsOf(team, name)) found.set(app, one);
      }
    } catch {
      // Without it more is fetched.
    }
    return found;
  }

  async #appsOf(team: string, name: string): Promise<Map<string, InstalledApp>> {
    const kept = await this.#read(join('teams', team, 'releases', `${name}.json`), maxAppOrder);
    const apps = new Map<string, InstalledApp>();
    for (const file of kept.objects('metadata', 1024)) {
      const path = file.string('name');
      if (!path.startsWith('targets/') || !path.includes('/releases/')) continue;
      const { images } = parseRelease(file.string('content', anything, maxAppOrder), path);
      for (const { name: app, app: about, payload } of images.flatMap(({ components }) => components))
        if (about !== undefined && payload !== undefined)
          apps.set(app, { fsVerity: about.fsVerity, rootHash: payload.rootHash });
    }
    return apps;
  }

  async #read(name: string, most: number) {
    const path = join(this.#folder, name);
    const content = (await readText(path, most)) ?? '';
    return readRecord(content, { path, code: 'device/bad-app-state', most, values: mostValues });
  }
}
