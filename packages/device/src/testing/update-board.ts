// SPDX-License-Identifier: Apache-2.0
//
// For tests of updates: a board in files, and a repository of releases for it.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BootState,
  bootStateOffsets,
  chooseBootState,
  formatBootState,
  formatRelease,
  type Release,
} from '@mbl/formats';
import {
  addTargets,
  beginRepository,
  componentPath,
  emptyState,
  makeBornRoot,
  metadataSigner,
  publish,
  releasePath,
  signStaged,
} from '@mbl/releases';
import { memorySigner } from '@mbl/trust';
import { FakeBanks } from './fake-banks.ts';
import { imageJson, TemporaryFolder } from './support.ts';
import { defaultSystem } from '../platform/options.ts';
import { tufVerifier } from '../platform/release.ts';
import { type InstallPlan, installUpdates } from '../platform/update.ts';

export const now = new Date('2027-01-15T12:00:00Z');
export const later = (days: number): Date => new Date(now.getTime() + days * 86_400_000);
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const parts = { kernel: randomBytes(10_000), root: randomBytes(50_000) };

/** Of the trees over the parts, and of the root that slot a has. */
export const rootHashes = { kernel: 'ab'.repeat(32), root: 'cd'.repeat(32) };
export const oldRoot = 'ef'.repeat(32);

export function releaseOf(name: string, more: Partial<Release> = {}, firmware?: string): Release {
  const component = (part: 'kernel' | 'root') => ({
    name: part,
    version: name,
    file: `${part}.img`,
    size: parts[part].length,
    sha256: sha256(parts[part]),
    payload: {
      file: `${part}.payload`,
      size: 20_000,
      sha256: sha256(Buffer.from(`payload of ${part}`)),
      dataSize: Math.ceil(parts[part].length / 4096) * 4096,
      rootHash: rootHashes[part],
      salt: 'ff00',
      indexSize: 100,
      indexSha256: '12'.repeat(32),
      streamSize: 19_000,
      maps: [
        { source: '34'.repeat(32), size: 80 },
        { source: oldRoot, size: 90 },
      ],
    },
    requires: [],
  });
  const boot = { ...component('kernel'), name: 'boot-firmware', version: firmware ?? '' };
  const components = [...(firmware === undefined ? [] : [boot]), component('kernel'), component('root')];
  const image = { machine: 'qemu-arm64', image: 'product', buildId: '0123456789abcdef', components };
  const plain = { version: 1, team: 'os', name, keys: 'development', rollbackIndex: 0, notes: '' } as const;
  return { ...plain, images: [image], ...more };
}

/** A repository with these releases, as files by their names. */
export class Repository {
  readonly files = new Map<string, string>();
  root: Uint8Array = Buffer.alloc(0);
  readonly #state = emptyState();
  readonly #signers = Promise.all(
    Array.from({ length: 4 }, () => metadataSigner(memorySigner(generateKeyPairSync('ed25519').privateKey))),
  );

  async add(release: Release): Promise<void> {
    const [root, targets, snapshot, timestamp] = await this.#signers;
    assert.ok(root && targets && snapshot && timestamp);
    if (this.root.length === 0) {
      this.root = await makeBornRoot({ root, targets, snapshot, timestamp }, now);
      beginRepository(this.#state, { root, targets, snapshot, timestamp }, this.root, now);
    }
    const text = Buffer.from(formatRelease(release));
    const target = (path: string, bytes: Uint8Array) => ({
      path,
      length: bytes.length,
      sha256: sha256(bytes),
    });
    const path = releasePath('os', release.name);
    const components = release.images
      .flatMap((image) => image.components)
      .flatMap(({ payload, ...one }) => (payload === undefined ? [one] : [one, payload]))
      .map((one) => ({ path: componentPath('os', one), length: one.size, sha256: one.sha256 }));
    addTargets(this.#state, 'os', [target(path, text), ...components], now);
    const signers = [root, targets, snapshot, timestamp];
    await signStaged(this.#state, signers);
    const { files } = await publish(this.#state, { signers, now });
    for (const [name, bytes] of files) this.files.set(`metadata/${name}`, bytes.toString('utf8'));
    const at = path.lastIndexOf('/') + 1;
    this.files.set(`targets/${path.slice(0, at)}${sha256(text)}.${path.slice(at)}`, text.toString('utf8'));
  }
}

export const proved: BootState = { sequence: 4, first: 'a', tried: 'a', attempts: { a: 0, b: 0 } };

/** A board that runs slot a, and has proved good. */
export class TestBoard implements Disposable {
  readonly repository = new Repository();
  readonly banks = new FakeBanks();
  readonly #folder = new TemporaryFolder();
  #now = now;
  #platform: ReturnType<typeof installUpdates> | undefined;

  at(...names: string[]): string {
    return join(this.#folder.path, ...names);
  }

  constructor() {
    for (const name of ['disk', 'update']) mkdirSync(this.at(name));
    for (const part of ['boot_a', 'boot_b', 'root_a', 'root_b'])
      writeFileSync(this.at('disk', part), Buffer.alloc(60_000));
    // With them: firmware/firmware.test.ts.
    this.banks.absent = true;
    this.boots('a', proved);
    writeFileSync(this.at('image.json'), imageJson);
  }

  /** The board starts anew, with a root of that root hash. */
  boots(slot: 'a' | 'b', state: BootState, rootHash = slot === 'a' ? oldRoot : rootHashes.root): void {
    mkdirSync(this.at('sys/class/block/dm-0/dm'), { recursive: true });
    writeFileSync(this.at('sys/class/block/dm-0/dm/uuid'), `VERITY-${rootHash}\n`);
    writeFileSync(this.at('boot'), `slot=${slot}\nattempts=1\n`);
    const bytes = Buffer.alloc(8192);
    bytes.set(formatBootState(state), bootStateOffsets[0]);
    writeFileSync(this.at('disk', 'state'), bytes);
    this.#platform = undefined;
  }

  get state(): BootState {
    return chooseBootState(readFileSync(this.at('disk', 'state'))).state;
  }

  set clock(date: Date) {
    this.#now = date;
    this.#platform = undefined;
  }

  get platform(): ReturnType<typeof installUpdates> {
    writeFileSync(this.at('root.json'), this.repository.root);
    return (this.#platform ??= installUpdates(
      {
        ...defaultSystem,
        root: this.#folder.path,
        bootFile: this.at('boot'),
        panicFile: this.at('panic'),
        orderFile: this.at('ordered'),
        disk: this.at('disk'),
        update: this.at('update'),
        imageFile: this.at('image.json'),
      },
      tufVerifier({ root: this.at('root.json'), seen: this.at('update', 'metadata'), now: () => this.#now }),
      this.banks,
    ));
  }

  /** Brings every file of metadata that is asked for, from `files`; gives the verdict and what was asked for. */
  async check(
    release: string,
    files: ReadonlyMap<string, string> = this.repository.files,
  ): Promise<{ plan: InstallPlan; asked: string[] }> {
    const metadata: { name: string; content: string }[] = [];
    for (;;) {
      const plan = await this.platform.checkRelease({ release, metadata });
      if (plan.missing === '') return { plan, asked: metadata.map(({ name }) => name) };
      assert.ok(metadata.length < 20, `too many: ${plan.missing}`);
      metadata.push({ name: plan.missing, content: files.get(plan.missing) ?? '' });
    }
  }

  write(plan: InstallPlan): void {
    for (const { device, name } of plan.components) {
      assert.ok(name === 'kernel' || name === 'root');
      const bytes = readFileSync(device);
      bytes.set(parts[name]);
      writeFileSync(device, bytes);
    }
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
