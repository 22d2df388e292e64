// SPDX-License-Identifier: Apache-2.0
import { createHash, generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { formatRelease, osTeam, type Release } from '@mbl/formats';
import {
  addTargets,
  beginRepository,
  componentPath,
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

type Keys = Readonly<Record<TopRole, MetadataSigner>>;

/** A signed repository of releases in a folder of its own. The components are some bytes. */
export class TestRepository implements AsyncDisposable {
  readonly folder: string;
  readonly #keys: Keys;
  readonly #state: RepositoryState;

  private constructor(folder: string, keys: Keys, state = emptyState()) {
    this.folder = folder;
    this.#keys = keys;
    this.#state = state;
  }

  static async open(): Promise<TestRepository> {
    const keys = await Promise.all(
      topRoles.map(async (role) => {
        const { privateKey } = generateKeyPairSync('ed25519');
        return [role, await metadataSigner(memorySigner(privateKey))] as const;
      }),
    );
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
    const targets: { path: string; length: number; sha256: string }[] = [];
    const add = async (path: string, content: Buffer): Promise<string> => {
      const digest = sha256(content);
      const file = join(this.folder, 'targets', dirname(path), `${digest}.${basename(path)}`);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      targets.push({ path, length: content.length, sha256: digest });
      return digest;
    };
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

  /** The same team's repository in another folder, which goes its own way from here on. */
  async copy(): Promise<TestRepository> {
    const folder = await mkdtemp(join(tmpdir(), 'mbl-releases-'));
    await cp(this.folder, folder, { recursive: true });
    return new TestRepository(folder, this.#keys, await readRepository(folder));
  }

  /** Signs what is staged, and a new timestamp in any case. */
  async sign(now = new Date()): Promise<void> {
    const signers = Object.values(this.#keys);
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
