// SPDX-License-Identifier: Apache-2.0
import type { AppDescription } from '@mbl/formats';
import { appOf as syntheticApp } from '../../testing/synthetic-app.ts';
import type { SignedApps } from '../judge.ts';
import { AppManager } from '../manager.ts';
import type { AppPolicy } from '../policy.ts';
import { devicePlaces, healthUnitOf, pathsOf, unitOf } from '../places.ts';
import { digestOf, FakeDevice } from './fake-device.ts';

export const paths = pathsOf(devicePlaces);

/** An app of a release in a test: how it behaves is in its summary. */
export interface AppPlan {
  readonly behaviour?: 'good' | 'broken' | 'crashes' | 'sick';
  /** The bytes of its image; the same ones for two versions that did not change. */
  readonly content?: string;
  readonly change?: Partial<AppDescription>;
}

export function appOf(
  name: string,
  release: string,
  { behaviour = 'good', content: image = name, change }: AppPlan = {},
): AppDescription {
  const plain = syntheticApp(name, Buffer.from(image));
  return {
    ...plain,
    release,
    summary: behaviour,
    image: { ...plain.image, fsVerity: digestOf(image) },
    ...(behaviour === 'sick'
      ? { health: { command: ['/bin/check'], interval: 1, timeout: 1, failures: 2, grace: 10 } }
      : {}),
    volumes: [{ name: 'state', path: '/var/lib/app', size: 1 << 20, files: 10 }],
    ...change,
  };
}

/** A device in memory with its manager of apps, and whoever hands releases to it. */
export class AppBoard {
  readonly device = new FakeDevice();
  /** Releases that somebody signed: `<team>/<release>`. */
  readonly signed = new Map<string, { apps: readonly AppDescription[]; rollbackIndex: number }>();
  readonly images = new Map<string, string>();
  os = '1.0';
  policy: AppPolicy = { rules: [] };
  unconfined: string | undefined;

  constructor() {
    for (const folder of [
      '/data/apps',
      '/data/apps/incoming',
      '/data/apps/orders',
      '/run/mbl',
      '/run/mbl-platformd',
    ])
      this.#folder(folder);
  }

  #folder(path: string): void {
    const options = { mode: 0o755 };
    this.device.files.set(path, { kind: 'folder', text: '', options, sealed: false, stamp: 0 });
  }

  /** The device restarts into the version that ran. */
  restart(): void {
    this.device.reboot();
    this.#folder('/run/mbl');
  }

  /** The device restarts into a version of the operating system that came to slot b and is on trial there. */
  startTrial(os: string): void {
    this.restart();
    this.os = os;
    this.device.put(paths.boot, 'slot=b\nattempts=1\n');
    const trial = { slot: 'b', release: os, rollbackIndex: 0, rootHash: 'ab'.repeat(32) };
    this.device.put(paths.trialOfSystem, JSON.stringify({ version: 1, ...trial }));
  }

  /** What `mbl-good-boot.service` does where a start proved good. True: it has this manager started. */
  prove(): boolean {
    this.device.put(paths.proved, '');
    const waits = this.device.files.has(paths.waits);
    if (waits) this.device.put(paths.go, '');
    return waits;
  }

  /** The version before it runs again, in slot a. */
  goBack(os: string): void {
    this.restart();
    this.os = os;
    this.device.put(paths.boot, 'slot=a\nattempts=1\n');
  }

  release(team: string, release: string, apps: Readonly<Record<string, AppPlan>>, rollbackIndex = 0): void {
    const described = Object.entries(apps).map(([name, one]) => {
      const content = one.content ?? `${name} ${team}/${release}`;
      const app = appOf(name, release, { ...one, content });
      this.images.set(app.image.sha256, content);
      return app;
    });
    this.signed.set(`${team}/${release}`, { apps: described, rollbackIndex });
  }

  want(wanted: Readonly<Record<string, string>>): void {
    const releases = Object.entries(wanted).map(([team, release]) => ({ team, release }));
    this.device.put(paths.desired, JSON.stringify({ version: 1, releases }));
  }

  /** What `mbl-platformd` and the client do: the images are there, and then the order. */
  bring(team: string, release: string): void {
    for (const { image } of this.signed.get(`${team}/${release}`)?.apps ?? []) {
      const there = this.device.files.has(paths.installedImage(image.fsVerity));
      if (!there) this.device.put(paths.image(image.sha256), this.images.get(image.sha256) ?? '');
    }
    this.device.put(paths.order(team), JSON.stringify({ version: 1, team, release, metadata: [] }));
  }

  /** A run of the manager as it starts: nothing but the device remembers anything. */
  async run(): Promise<void> {
    const { device } = this;
    await new AppManager({
      effects: device,
      paths,
      group: 132,
      callersGroup: 900,
      write: (app, team) => {
        const unit = {
          app: app.name,
          team,
          release: app.release,
          image: app.image.fsVerity,
          behaviour: app.summary,
        };
        const names = [unitOf(app.name), ...(app.health === undefined ? [] : [healthUnitOf(app.name)])];
        return Promise.resolve({
          bundle: new Map([['config.json', JSON.stringify(app)]]),
          units: new Map(names.map((name) => [name, JSON.stringify(unit)])),
        });
      },
      ground: {
        policy: this.policy,
        unconfined: this.unconfined,
        os: this.os,
        now: () => new Date(0),
        judge: ({ team, release }: SignedApps, accepted) => {
          const found = this.signed.get(`${team}/${release}`);
          if (found === undefined)
            return Promise.resolve({
              reason: 'update/signature-invalid',
              detail: 'nobody signed it',
            } as const);
          if (found.rollbackIndex < accepted)
            return Promise.resolve({ reason: 'update/too-old', detail: 'it is too old' } as const);
          return Promise.resolve({ team, release, ...found });
        },
      },
    }).run();
  }

  async status(): Promise<Record<string, string>> {
    const text = (await this.device.read(paths.status)) ?? '{"releases":[]}';
    const { releases } = JSON.parse(text) as {
      releases: { team: string; release: string; running: string; state: string; reason: string }[];
    };
    return Object.fromEntries(
      releases.map(({ team, ...one }) => [
        team,
        [one.release, one.running || '-', one.state, one.reason].join(' ').trim(),
      ]),
    );
  }

  /** All that lasts, and what runs. */
  get snapshot(): Record<string, unknown> {
    const lasting = [...this.device.files].filter(([path]) => path.startsWith('/data/apps/'));
    return {
      files: lasting
        .map(([path, { kind, text }]) => `${path} ${kind} ${kind === 'file' ? text : ''}`)
        .toSorted(),
      quotas: [...this.device.quotas].map((one) => one.join(' ')).toSorted(),
      apps: this.device.apps,
    };
  }
}
