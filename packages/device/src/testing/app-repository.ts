// SPDX-License-Identifier: Apache-2.0
//
// For tests of apps: a signed repository of their releases, in a folder.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatApp, type Release } from '@mbl/formats';
import {
  addTargets,
  beginRepository,
  changeRole,
  composeApps,
  emptyState,
  makeBornRoot,
  type MetadataSigner,
  metadataSigner,
  publish,
  type RepositoryState,
  signStaged,
  writePublished,
} from '@mbl/releases';
import { type KeyProfile, memorySigner } from '@mbl/trust';
import { TemporaryFolder } from './support.ts';
import { appOf } from './synthetic-app.ts';

const signer = async () => await metadataSigner(memorySigner(generateKeyPairSync('ed25519').privateKey));

/** A repository with teams of apps, each with a key of its own. */
export class AppRepository implements Disposable {
  /** The root that devices are born with. */
  root: Uint8Array = Buffer.alloc(0);
  readonly #folder = new TemporaryFolder();
  readonly #state: RepositoryState = emptyState();
  readonly #signers: MetadataSigner[] = [];
  readonly #teams = new Set<string>();
  readonly #before: Release[] = [];
  readonly now: Date;

  private constructor(now: Date) {
    this.now = now;
  }

  static async open(now = new Date('2027-01-15T12:00:00Z')): Promise<AppRepository> {
    const repository = new AppRepository(now);
    const [root, targets, snapshot, timestamp] = [
      await signer(),
      await signer(),
      await signer(),
      await signer(),
    ];
    repository.#signers.push(root, targets, snapshot, timestamp);
    const keys = { root, targets, snapshot, timestamp };
    repository.root = await makeBornRoot(keys, now);
    beginRepository(repository.#state, keys, repository.root, now);
    await repository.sign();
    return repository;
  }

  get folder(): string {
    return this.#folder.path;
  }

  /** Publishes a release of a team: apps by their names, each with its file system. */
  async release(
    team: string,
    name: string,
    images: Readonly<Record<string, Buffer>>,
    { rollbackIndex = 0, keys = 'development' }: { rollbackIndex?: number; keys?: KeyProfile } = {},
  ): Promise<Release> {
    if (!this.#teams.has(team)) {
      const added = await signer();
      this.#signers.push(added);
      changeRole(this.#state, team, { add: [added.key] }, this.now);
      this.#teams.add(team);
    }
    const packages = Object.entries(images).map(([app, image]) => {
      const folder = join(this.folder, 'packages', team, name, app);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'app.erofs'), image);
      writeFileSync(join(folder, 'app.json'), formatApp(appOf(app, image, { release: name })));
      return folder;
    });
    const composed = await composeApps({
      team,
      name,
      packages,
      keys,
      rollbackIndex,
      notes: '',
      repository: this.folder,
      before: this.#before.filter((one) => one.team === team),
      level: 1,
    });
    this.#before.push(composed.release);
    addTargets(this.#state, team, composed.targets, this.now);
    await this.sign();
    return composed.release;
  }

  /** Signs what is staged, and a new timestamp in any case. */
  async sign(): Promise<void> {
    await signStaged(this.#state, this.#signers);
    const { files } = await publish(this.#state, { signers: this.#signers, now: this.now });
    await writePublished(this.folder, files);
  }

  /** A file by its path in the repository. */
  get(path: string): Buffer | undefined {
    const file = join(this.folder, path);
    return existsSync(file) ? readFileSync(file) : undefined;
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
