// SPDX-License-Identifier: Apache-2.0
//
// For tests of apps: the platform's part of a board, in files.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AppInstallPlan, installApps } from '../platform/apps.ts';
import { defaultSystem } from '../platform/options.ts';
import { tufVerifier } from '../platform/release.ts';
import type { Units, UnitState } from '../platform/units.ts';
import type { AppRepository } from './app-repository.ts';
import { imageJson, TemporaryFolder } from './support.ts';

export class AppBoard implements Disposable {
  readonly units = new Map<string, UnitState>();
  readonly repository: AppRepository;
  /** What the board takes for the time. */
  now: Date;
  readonly #folder = new TemporaryFolder();
  #platform: ReturnType<typeof installApps> | undefined;

  constructor(repository: AppRepository) {
    this.repository = repository;
    this.now = repository.now;
    const folders = ['apps/incoming', 'apps/orders', 'apps/installed/images', 'said/answers', 'asked/asks'];
    for (const name of folders) mkdirSync(this.at(name), { recursive: true });
    writeFileSync(this.at('image.json'), imageJson);
    writeFileSync(this.at('root.json'), repository.root);
  }

  at(...names: string[]): string {
    return join(this.#folder.path, ...names);
  }

  read(...names: string[]): string {
    return readFileSync(this.at(...names), 'utf8');
  }

  write(name: string, value: unknown): void {
    mkdirSync(join(this.at(name), '..'), { recursive: true });
    writeFileSync(this.at(name), typeof value === 'string' ? value : JSON.stringify(value));
  }

  /** The platform service starts anew. */
  restart(): void {
    this.#platform = undefined;
  }

  get verifier() {
    const { root, seen } = { root: this.at('root.json'), seen: this.at('update/metadata') };
    return tufVerifier({ root, seen, now: () => this.now });
  }

  get platform(): ReturnType<typeof installApps> {
    const units: Units = { read: (unit) => Promise.resolve(this.units.get(unit)) };
    return (this.#platform ??= installApps(
      {
        ...defaultSystem,
        imageFile: this.at('image.json'),
        apps: this.at('apps'),
        appsSaid: this.at('said'),
        appsAsked: this.at('asked'),
      },
      this.verifier,
      units,
    ));
  }

  /** Brings every file of metadata that is asked for; gives the verdict and what was asked for. */
  async check(team: string, release: string): Promise<{ plan: AppInstallPlan; asked: string[] }> {
    const metadata: { name: string; content: string }[] = [];
    for (;;) {
      const plan = await this.platform.checkAppRelease({ team, release, metadata });
      if (plan.missing === '') return { plan, asked: metadata.map(({ name }) => name) };
      assert.ok(metadata.length < 30, `too many: ${plan.missing}`);
      const content = this.repository.get(plan.missing)?.toString('utf8') ?? '';
      metadata.push({ name: plan.missing, content });
    }
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
