// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { parseFactory, parseImageIdentity } from '@mbl/formats';
import { Agent, type AgentTiming } from '../cloud-client/agent.ts';
import { IdentityStore } from '../cloud-client/identity.ts';
import { AppMemory } from '../cloud-client/apps/memory.ts';
import { AppUpdater } from '../cloud-client/apps/updater.ts';
import { noDeferrals } from '../cloud-client/ipc/deferrals.ts';
import { loadSettings } from '../cloud-client/settings.ts';
import { UpdateMemory } from '../cloud-client/update/memory.ts';
import { OrderDoor } from '../cloud-client/update/order-door.ts';
import { httpRepository } from '../cloud-client/update/repository.ts';
import type { FakeService } from './fake-service.ts';
import { FakePlatform, imageJson, KeptLog } from './support.ts';

export const name = 'mbl-board-1';
const fast: AgentTiming = {
  retryFirst: 10,
  retryMax: 50,
  refusedMax: 50,
  offline: 10,
  stable: 100,
  refresh: 30,
  farewell: 500,
};

interface Options {
  factory?: string;
  now?: () => number;
}

/** For tests: an agent over a folder, running until disposed. */
export class Running implements AsyncDisposable {
  readonly kept = new KeptLog();
  readonly platform = new FakePlatform();
  /** What apps were told: whether the device is registered. */
  readonly apps: boolean[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(service: FakeService, dir: string, options: Options = {}) {
    this.#done = this.#run(service, dir, options);
  }

  async #run(service: FakeService, dir: string, options: Options): Promise<void> {
    const { platform } = this;
    const { log } = this.kept;
    const updates = await UpdateMemory.load(dir);
    const repository = httpRepository({
      service: { url: 'https://127.0.0.1:1', serverName: '', trust: '' },
      state: dir,
    });
    const memory = await AppMemory.load(dir);
    const timing = { retryFirst: 10, retryMax: 50, later: 50, look: 10, rest: 60_000, patience: 60_000 };
    const apps = new AppUpdater({ platform, repository, memory, updates, log, timing, now: Date.now });
    const agent = new Agent({
      factory: parseFactory(options.factory ?? service.factory(name), 'factory.json'),
      image: parseImageIdentity(imageJson, 'image.json'),
      store: new IdentityStore(dir, name),
      settingsDir: dir,
      settings: await loadSettings(dir),
      updates,
      packages: join(dir, 'packages'),
      apps,
      platform,
      orders: new OrderDoor({ path: '', platform: this.platform, log: this.kept.log, pause: 0 }),
      repository,
      appBus: { serve: () => undefined, registered: (now) => this.apps.push(now) },
      deferrals: noDeferrals,
      log,
      timing: fast,
      ...(options.now === undefined ? {} : { now: options.now }),
    });
    await Promise.all([agent.run(this.#stop.signal), apps.run(this.#stop.signal)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}
