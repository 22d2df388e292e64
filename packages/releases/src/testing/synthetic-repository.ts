// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memorySigner } from '@mbl/trust';
import { type ComposeOptions, composeRelease } from '../release/compose.ts';
import { addTargets, initialise } from '../repository/edit.ts';
import { writePublished, writeStaged } from '../repository/folder.ts';
import { bornRoot, type Published, publish } from '../repository/publish.ts';
import { emptyState, type RepositoryState, type TopRole, topRoles } from '../repository/roles.ts';
import { signStaged } from '../repository/sign.ts';
import { folderSource, memoryStore } from '../sources/folder.ts';
import { Client, type ClientOptions, type Source } from '../tuf/client.ts';
import { type MetadataSigner, metadataSigner } from '../tuf/keys.ts';
import { syntheticImage } from './synthetic-image.ts';

/** The time at which tests sign; nothing depends on the machine's clock. */
export const now = new Date('2027-01-15T12:00:00Z');

export const later = (days: number): Date => new Date(now.getTime() + days * 86_400_000);

export async function newSigner(kind: 'ed25519' | 'ec' = 'ed25519'): Promise<MetadataSigner> {
  const { privateKey } =
    kind === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  return await metadataSigner(memorySigner(privateKey));
}

/** A repository in a folder of its own, with the keys of a team. */
export class SyntheticRepository {
  readonly folder: string;
  readonly keys: Readonly<Record<TopRole, MetadataSigner>>;
  readonly state: RepositoryState = emptyState();
  /** The root that devices are born with. */
  root: Buffer = Buffer.alloc(0);

  readonly #at: Date;

  private constructor(folder: string, keys: Readonly<Record<TopRole, MetadataSigner>>, at: Date) {
    this.folder = folder;
    this.keys = keys;
    this.#at = at;
  }

  static async open(kind: 'ed25519' | 'ec' = 'ed25519', at: Date = now): Promise<SyntheticRepository> {
    const folder = await mkdtemp(join(tmpdir(), 'mbl-releases-'));
    const keys = await Promise.all(topRoles.map(async (role) => [role, await newSigner(kind)] as const));
    const repository = new SyntheticRepository(
      folder,
      Object.fromEntries(keys) as Record<TopRole, MetadataSigner>,
      at,
    );
    const { root, targets, snapshot, timestamp } = repository.keys;
    initialise(
      repository.state,
      { root: root.key, targets: targets.key, snapshot: snapshot.key, timestamp: timestamp.key },
      at,
    );
    await repository.sign();
    repository.root = bornRoot(repository.state);
    return repository;
  }

  get signers(): MetadataSigner[] {
    return Object.values(this.keys);
  }

  /** Makes an image and a release of it, staged and unsigned. */
  async release(
    name: string,
    { seed = 1, keys = 'development', machine = 'qemu-arm64', ...rest }: ReleaseOptions = {},
  ): Promise<void> {
    const image = join(this.folder, `image-${name}`);
    await syntheticImage(image, { seed, keys, machine });
    const composed = await composeRelease({
      name,
      images: [image],
      components: ['boot-firmware', 'kernel', 'root'],
      rollbackIndex: 0,
      notes: '',
      repository: this.folder,
      ...rest,
    });
    addTargets(this.state, 'os', composed.targets, this.#at);
  }

  /** Signs all that is staged with all keys, or with `signers`, and publishes it. */
  async sign(signers: readonly MetadataSigner[] = this.signers, at = this.#at): Promise<Published> {
    await signStaged(this.state, signers);
    const published = await publish(this.state, { signers, now: at });
    await writePublished(this.folder, published.files);
    await writeStaged(this.folder, this.state);
    return published;
  }

  /** A device that looks at the repository. */
  async client(options: Partial<ClientOptions> = {}): Promise<Client> {
    return await Client.open({
      root: this.root,
      source: folderSource(this.folder),
      store: memoryStore(),
      now: this.#at,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface ReleaseOptions extends Partial<Pick<ComposeOptions, 'rollbackIndex' | 'components' | 'notes'>> {
  seed?: number;
  keys?: 'development' | 'production';
  machine?: string;
}

/** A source that gives other bytes for some files: a mirror that is not honest. `undefined`: it has none. */
export function lyingSource(
  honest: Source,
  lies: Readonly<Record<string, Uint8Array | AsyncIterable<Uint8Array> | undefined>>,
): Source {
  return {
    open(path) {
      if (!Object.hasOwn(lies, path)) return honest.open(path);
      const lie = lies[path];
      return Promise.resolve(lie instanceof Uint8Array ? once(lie) : lie);
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
