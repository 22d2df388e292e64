// SPDX-License-Identifier: Apache-2.0
import { createHash, generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type AppDescription, formatApp, formatRelease, osTeam, type Release } from '@mbl/formats';
import {
  addTargets,
  beginRepository,
  changeRole,
  componentPath,
  composeApps,
  emptyState,
  makeBornRoot,
  type MetadataSigner,
  metadataSigner,
  publish,
  readRepository,
  releasePath,
  type RepositoryState,
  signStaged,
  type TopRole,
  topRoles,
  writePublished,
  writeStaged,
} from '@mbl/releases';
import { memorySigner } from '@mbl/trust';

interface NewTarget {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

type Keys = Readonly<Record<TopRole, MetadataSigner>>;

/** A signed repository of releases in a folder of its own. The components are some bytes. */
export class TestRepository implements AsyncDisposable {
  readonly folder: string;
  readonly #keys: Keys;
  readonly #teams = new Map<string, MetadataSigner>();
  readonly #state: RepositoryState;

  private constructor(folder: string, keys: Keys, state = emptyState()) {
    this.folder = folder;
    this.#keys = keys;
    this.#state = state;
  }

  static async open(): Promise<TestRepository> {
    const keys = await Promise.all(topRoles.map(async (role) => [role, await newSigner()] as const));
    const folder = await mkdtemp(join(tmpdir(), 'mbl-releases-'));
    const repository = new TestRepository(folder, Object.fromEntries(keys) as Keys);
    const now = new Date();
    const born = await makeBornRoot(repository.#keys, now);
    beginRepository(repository.#state, repository.#keys, born, now);
    return repository;
  }

  /** The identity of the build that a release has. */
  static buildId(name: string): string {
    return sha256(Buffer.from(name)).slice(0, 16);
  }

  /** Publishes a release of the operating system with a root and a kernel of its own. */
  async release(name: string, fields: Partial<Release> = {}): Promise<void> {
    const targets: NewTarget[] = [];
    const add = async (path: string, content: Buffer) => targets.push(await this.#keep(path, content));
    const part = async (component: string, file: string) => {
      const content = Buffer.from(`${component} of ${name} `.repeat(1000));
      const digest = sha256(content);
      await add(componentPath(osTeam, { sha256: digest, file }), content);
      return { name: component, version: name, file, size: content.length, sha256: digest, requires: [] };
    };
    const release: Release = {
      version: 1,
      team: osTeam,
      name,
      keys: 'development',
      rollbackIndex: 0,
      notes: '',
      images: [
        {
          machine: 'qemu-arm64',
          image: 'development',
          buildId: TestRepository.buildId(name),
          components: [await part('kernel', 'kernel.itb'), await part('root', 'root.img')],
        },
      ],
      ...fields,
    };
    await add(releasePath(osTeam, name), Buffer.from(formatRelease(release)));
    addTargets(this.#state, osTeam, targets, new Date());
    await this.sign();
  }

  /**
   * Publishes a release of an app's team, with one app whose file system is a block of zeros. `lie`: what the signed `app.json` says in the place of
   * the truth.
   */
  async apps(team: string, name: string, lie: Partial<AppDescription> = {}): Promise<void> {
    const signer = this.#teams.get(team) ?? (await newSigner());
    if (!this.#teams.has(team)) changeRole(this.#state, team, { add: [signer.key] }, new Date());
    this.#teams.set(team, signer);
    const app = zeros(name);
    const folder = join(this.folder, 'package');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, app.image.file), Buffer.alloc(app.image.size));
    await writeFile(join(folder, 'app.json'), formatApp(app));
    const composed = await composeApps({
      team,
      name,
      packages: [folder],
      keys: 'development',
      rollbackIndex: 0,
      notes: '',
      repository: this.folder,
      level: 1,
    });
    const lies = await this.#describeAnew(composed.release, { ...app, ...lie });
    const honest = composed.targets.filter(({ path }) => !lies.some((one) => one.path === path));
    addTargets(this.#state, team, [...honest, ...lies], new Date());
    await this.sign();
  }

  /** The release with another description of its app, and that. */
  async #describeAnew(release: Release, app: AppDescription): Promise<NewTarget[]> {
    const text = Buffer.from(formatApp(app));
    const description = { file: 'app.json', size: text.length, sha256: sha256(text) };
    const images = release.images.map((one) => ({
      ...one,
      components: one.components.map((part) => ({
        ...part,
        ...(part.app && { app: { ...part.app, description } }),
      })),
    }));
    const said = Buffer.from(formatRelease({ ...release, images }));
    return [
      await this.#keep(releasePath(release.team, release.name), said),
      await this.#keep(componentPath(release.team, description), text),
    ];
  }

  async #keep(path: string, content: Buffer): Promise<NewTarget> {
    const digest = sha256(content);
    const file = join(this.folder, 'targets', dirname(path), `${digest}.${basename(path)}`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
    return { path, length: content.length, sha256: digest };
  }

  /** The same team's repository in another folder, which goes its own way from here on. */
  async copy(): Promise<TestRepository> {
    const folder = await mkdtemp(join(tmpdir(), 'mbl-releases-'));
    await cp(this.folder, folder, { recursive: true });
    return new TestRepository(folder, this.#keys, await readRepository(folder));
  }

  /** Signs what is staged, and a new timestamp in any case. */
  async sign(now = new Date()): Promise<void> {
    const signers = [...Object.values(this.#keys), ...this.#teams.values()];
    await signStaged(this.#state, signers);
    const { files } = await publish(this.#state, { signers, now });
    await writePublished(this.folder, files);
    await writeStaged(this.folder, this.#state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function newSigner(): Promise<MetadataSigner> {
  return await metadataSigner(memorySigner(generateKeyPairSync('ed25519').privateKey));
}

/** An app whose file system is a block of zeros. */
function zeros(release: string): AppDescription {
  const fsVerity = 'babc284ee4ffe7f449377fbf6692715b43aec7bc39c094a95878904d34bac97e';
  return {
    version: 1,
    name: 'sensor',
    release,
    summary: '',
    architecture: 'arm64',
    image: { file: 'app.erofs', size: 4096, sha256: sha256(Buffer.alloc(4096)), fsVerity },
    command: ['/bin/app'],
    environment: [],
    workingDirectory: '/',
    users: 'one',
    user: { uid: 0, gid: 0, groups: [] },
    stop: { signal: 'SIGTERM', grace: 10 },
    permissions: { network: 'none', ports: [], devices: [], bus: { talk: [], own: [] } },
    limits: { memory: 1 << 26, cpu: 50, processes: 64, read: 1e6, write: 1e6, log: 1000 },
    restart: { when: 'on-failure', delay: 1, longest: 60 },
    volumes: [],
    resources: [],
    after: [],
  };
}
