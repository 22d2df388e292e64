// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Release } from '@mbl/formats';
import type { ComposedRelease } from '../release/compose.ts';
import { composeApps, type ComposeAppsOptions } from '../release/compose-apps.ts';
import { addTargets, changeRole } from '../repository/edit.ts';
import type { MetadataSigner } from '../tuf/keys.ts';
import { syntheticApp } from './synthetic-app.ts';
import { newSigner, now, SyntheticRepository } from './synthetic-repository.ts';

export interface TeamScene extends AsyncDisposable {
  readonly repository: SyntheticRepository;
  readonly teams: Readonly<Record<'weather' | 'radio', MetadataSigner>>;
  /** Makes a release of apps, each of one letter's bytes, for a team. */
  readonly release: (team: string, name: string, apps: Readonly<Record<string, number>>) => Promise<Release>;
  /** The same, of apps whose file systems are given. */
  readonly releaseOf: (
    team: string,
    name: string,
    apps: Readonly<Record<string, Buffer>>,
    more?: Partial<ComposeAppsOptions>,
  ) => Promise<ComposedRelease>;
  /** Puts a file into the repository, and has a team vouch for it. */
  readonly vouch: (team: string, path: string, bytes: Buffer) => Promise<void>;
  readonly publish: () => Promise<readonly string[]>;
}

/** A repository with two teams of apps. */
export async function openTeams(): Promise<TeamScene> {
  const repository = await SyntheticRepository.open();
  const teams = { weather: await newSigner(), radio: await newSigner('ec') };
  for (const [name, { key }] of Object.entries(teams))
    changeRole(repository.state, name, { add: [key] }, now);
  await repository.sign();
  const all = [...repository.signers, ...Object.values(teams)];
  const scene: TeamScene = {
    repository,
    teams,
    async release(team, name, apps) {
      const images = Object.entries(apps).map(([app, seed]) => [app, Buffer.alloc(3 * 4096, seed)] as const);
      return (await scene.releaseOf(team, name, Object.fromEntries(images))).release;
    },
    async releaseOf(team, name, apps, more = {}) {
      const packages: string[] = [];
      for (const [app, image] of Object.entries(apps)) {
        packages.push(join(repository.folder, 'packages', app));
        await syntheticApp(join(repository.folder, 'packages', app), app, image);
      }
      const { folder } = repository;
      const options = {
        team,
        name,
        packages,
        keys: 'development',
        rollbackIndex: 1,
        notes: '',
        repository: folder,
        ...more,
      } as const;
      const composed = await composeApps(options);
      addTargets(repository.state, team, composed.targets, now);
      return composed;
    },
    async vouch(team, path, bytes) {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const place = join(repository.folder, 'targets', dirname(path), `${sha256}.${basename(path)}`);
      await mkdir(dirname(place), { recursive: true });
      await writeFile(place, bytes);
      addTargets(repository.state, team, [{ path, length: bytes.length, sha256 }], now);
    },
    publish: async () => (await repository.sign(all)).waiting,
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
  return scene;
}
