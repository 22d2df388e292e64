// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { TargetFile } from '@tufjs/models';
import { MblError } from '@mbl/trust';
import { mostBytes } from './metadata.ts';
import { TrustedMetadata } from './trusted-metadata.ts';

/** Where a repository is: a folder, a web server, a USB stick. */
export interface Source {
  /**
   * The bytes of a file, or undefined where there is none. `path` is relative to the repository, in the form of a URL
   * (`metadata/2.root.json`). What it gives is bounded by the one who reads.
   */
  open(path: string): Promise<AsyncIterable<Uint8Array> | undefined>;
}

/** What a client keeps from one time to the next, so that nobody can lead it back. Names are plain file names. */
export interface MetadataStore {
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}

export interface ClientOptions {
  /** The root that the client was born with. */
  readonly root: Uint8Array;
  readonly source: Source;
  readonly store: MetadataStore;
  readonly now: Date;
}

/** A file that a role vouches for. */
export interface Target {
  readonly path: string;
  /** Bytes. */
  readonly length: number;
  /** Hex; at least one of them. What this program makes has SHA-256. */
  readonly hashes: { readonly sha256?: string; readonly sha512?: string };
  /** Who vouches for it. */
  readonly role: string;
}

/** Bounds of the workflow (§5.3.3, §5.6.7.1). */
const maxRootRotations = 256;
const maxDelegations = 32;

/** A TUF client: the workflow of TUF 1.0.34 §5 over files that others hand in. */
export class Client {
  readonly #source: Source;
  readonly #store: MetadataStore;
  readonly #trusted: TrustedMetadata;

  private constructor({ source, store }: ClientOptions, trusted: TrustedMetadata) {
    this.#source = source;
    this.#store = store;
    this.#trusted = trusted;
  }

  /** A client whose metadata is up to date. Throws what `TrustedMetadata` does, and `release/missing`, `release/too-large`. */
  static async open(options: ClientOptions): Promise<Client> {
    const client = new Client(options, TrustedMetadata.open(options.root, options.now));
    await client.#refresh();
    return client;
  }

  get trusted(): TrustedMetadata {
    return this.#trusted;
  }

  async #refresh(): Promise<void> {
    await this.#loadRoots();
    await this.#loadTimestamp();
    await this.#loadSnapshot();
    await this.#loadTargets('targets', 'root');
  }

  /** §5.3: each root that follows. Those of before come from the store, verified as if they were new. */
  async #loadRoots(): Promise<void> {
    for (let i = 0; i < maxRootRotations; i++) {
      const name = `${this.#trusted.root.signed.version + 1}.root.json`;
      if (await this.#known(name, (bytes) => this.#trusted.updateRoot(bytes))) continue;
      const bytes = await this.#fetch(name, mostBytes.root);
      if (bytes === undefined) return;
      this.#trusted.updateRoot(bytes);
      await this.#store.write(name, bytes);
    }
    throw new MblError('release/too-many-roots', `More than ${maxRootRotations} roots follow one another.`);
  }

  /** §5.4. */
  async #loadTimestamp(): Promise<void> {
    await this.#known('timestamp.json', (bytes) => this.#trusted.updateTimestamp(bytes));
    const bytes = await this.#require('timestamp.json', mostBytes.timestamp);
    const newer = this.#trusted.updateTimestamp(bytes);
    this.#trusted.requireTimestamp();
    if (newer) await this.#store.write('timestamp.json', bytes);
  }

  /** §5.5. */
  async #loadSnapshot(): Promise<void> {
    const complete = await this.#known('snapshot.json', (bytes) => {
      this.#trusted.updateSnapshot(bytes, true);
      this.#trusted.requireSnapshot();
    });
    if (complete) return;
    const { version, length = mostBytes.snapshot } = this.#trusted.requireTimestamp().signed.snapshotMeta;
    const bytes = await this.#require(
      this.#versioned(version, 'snapshot'),
      Math.min(length, mostBytes.snapshot),
    );
    this.#trusted.updateSnapshot(bytes);
    this.#trusted.requireSnapshot();
    await this.#store.write('snapshot.json', bytes);
  }

  /** §5.6, and §5.6.7 for roles below `targets`. */
  async #loadTargets(role: string, delegator: string): Promise<void> {
    const loaded = this.#trusted.targets(role);
    if (loaded !== undefined) {
      this.#trusted.verifyRole(role, delegator, loaded);
      return;
    }
    const name = `${encodeURIComponent(role)}.json`;
    if (await this.#known(name, (bytes) => this.#trusted.updateTargets(bytes, role, delegator))) return;
    const { version, length = mostBytes.targets } = this.#trusted.meta(role);
    const file = this.#versioned(version, encodeURIComponent(role));
    const bytes = await this.#require(file, Math.min(length, mostBytes.targets));
    this.#trusted.updateTargets(bytes, role, delegator);
    await this.#store.write(name, bytes);
  }

  /** The file of a path, from the first role that is asked and has it (§5.6.7): roles in their order, deeper ones first. */
  async find(path: string): Promise<Target | undefined> {
    const visit = [{ role: 'targets', delegator: 'root' }];
    const visited = new Set<string>();
    for (let next = visit.pop(); next !== undefined; next = visit.pop()) {
      const { role, delegator } = next;
      if (visited.has(role)) continue;
      if (visited.size > maxDelegations) break;
      await this.#loadTargets(role, delegator);
      visited.add(role);
      const signed = this.#trusted.targets(role)?.signed;
      if (signed === undefined) continue;
      if (Object.hasOwn(signed.targets, path)) return targetOf(signed.targets[path], role);
      const below: typeof visit = [];
      for (const { role: child, terminating } of signed.delegations?.rolesForTarget(path) ?? []) {
        below.push({ role: child, delegator: role });
        if (!terminating) continue;
        visit.length = 0;
        break;
      }
      visit.push(...below.toReversed());
    }
    return undefined;
  }

  /** Every file that a client can get: of each role that has signed, the paths that lead to it. */
  async list(): Promise<Target[]> {
    const roles = ['targets'];
    const paths = new Set<string>();
    for (const role of roles) {
      const signed = this.#trusted.targets(role)?.signed;
      for (const path of Object.keys(signed?.targets ?? {})) paths.add(path);
      for (const child of Object.keys(signed?.delegations?.roles ?? {})) {
        if (roles.includes(child) || roles.length > maxDelegations) continue;
        // A team that has not signed anything yet has nothing to list.
        if (!Object.hasOwn(this.#trusted.requireSnapshot().signed.meta, `${child}.json`)) continue;
        await this.#loadTargets(child, role);
        roles.push(child);
      }
    }
    const found: Target[] = [];
    for (const path of [...paths].toSorted()) {
      const target = await this.find(path);
      if (target !== undefined) found.push(target);
    }
    return found;
  }

  /**
   * The bytes of a file, piece by piece; what comes is believed only when the last piece has come (§5.7). Throws `release/missing`,
   * `release/too-large` as soon as there is one byte too many, `release/wrong-content` at the end.
   */
  async *read(target: Target): AsyncGenerator<Uint8Array> {
    const { path, length } = target;
    const stream = await this.#source.open(this.locate(target));
    if (stream === undefined) throw missing(path);
    const digests = Object.entries(target.hashes).map(([algorithm, value]) => ({
      value,
      hash: createHash(algorithm),
    }));
    let size = 0;
    for await (const piece of stream) {
      size += piece.length;
      if (size > length) throw tooLarge(path, length);
      for (const { hash } of digests) hash.update(piece);
      yield piece;
    }
    if (size !== length || digests.some(({ value, hash }) => hash.digest('hex') !== value))
      throw new MblError('release/wrong-content', `The file ${path} is not the one that was signed.`, {
        details: { path },
        remedy: 'Copy it again from where the release was made.',
      });
  }

  /** Where a file lies, relative to the repository (§6.2). */
  locate({ path, hashes: { sha256, sha512 } }: Target): string {
    const parts = path.split('/').map(encodeURIComponent);
    const last = parts.pop() ?? '';
    return ['targets', ...parts, this.#consistent ? `${sha256 ?? sha512}.${last}` : last].join('/');
  }

  get #consistent(): boolean {
    return this.#trusted.root.signed.consistentSnapshot;
  }

  #versioned(version: number, name: string): string {
    return this.#consistent ? `${version}.${name}.json` : `${name}.json`;
  }

  /** Whether the store has a file that still holds. One that does not is fetched again. */
  async #known(name: string, use: (bytes: Uint8Array) => unknown): Promise<boolean> {
    const bytes = await this.#store.read(name);
    if (bytes === undefined) return false;
    try {
      use(bytes);
      return true;
    } catch (error) {
      if (error instanceof MblError) return false;
      throw error;
    }
  }

  async #require(name: string, most: number): Promise<Uint8Array> {
    const bytes = await this.#fetch(name, most);
    if (bytes === undefined) throw missing(name);
    return bytes;
  }

  async #fetch(name: string, most: number): Promise<Uint8Array | undefined> {
    const stream = await this.#source.open(`metadata/${name}`);
    if (stream === undefined) return undefined;
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of stream) {
      size += piece.length;
      if (size > most) throw tooLarge(name, most);
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }
}

function targetOf(file: TargetFile | undefined, role: string): Target | undefined {
  if (file === undefined) return undefined;
  const { path, length } = file;
  const { sha256, sha512 } = file.hashes;
  const hashes = { ...(sha256 === undefined ? {} : { sha256 }), ...(sha512 === undefined ? {} : { sha512 }) };
  const values = Object.values(hashes);
  if (values.length > 0 && values.every((value) => /^(?:[0-9a-f]{64}){1,2}$/.test(value)))
    return { path, length, hashes, role };
  throw new MblError('release/bad-metadata', `The metadata ${role} gives no SHA-256 or SHA-512 of ${path}.`, {
    details: { name: role },
  });
}

function missing(name: string): MblError {
  return new MblError('release/missing', `The repository has no ${name}.`, { details: { name } });
}

function tooLarge(name: string, most: number): MblError {
  return new MblError('release/too-large', `${name} is longer than the ${most} bytes that it may have.`, {
    details: { name },
  });
}
