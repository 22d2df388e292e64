// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type AppCaller, type AppCallers, parseImageIdentity } from '@mbl/formats';
import { Lwm2mClient, serverObject } from '@mbl/lwm2m';
import { createClient, type MessageBus } from 'dbus-native';
import { AppBus, type AppBusOptions } from '../cloud-client/ipc/app-bus.ts';
import { Deferrals } from '../cloud-client/ipc/deferrals.ts';
import { FakePlatform, imageJson, KeptLog, TemporaryFolder } from './support.ts';

const config = new URL('../../../../os/rootfs/device/usr/share/mbl/app-bus.conf', import.meta.url);

/** Whoever runs the test. */
export const ownUid = process.getuid?.() ?? 0;

export const sensor: AppCaller = {
  app: 'sensor',
  team: 'measuring',
  resources: [
    { path: '/3303/0/5700', type: 'float', operations: ['read'] },
    { path: '/3303/0/5605', type: 'none', operations: ['execute'] },
    { path: '/26241/0/1', type: 'string', operations: ['read', 'write'] },
  ],
  talk: ['com.mbl.Cloud1', 'com.mbl.Device1'],
  own: [],
};

/** For tests: the apps' bus by Debian's dbus-daemon, with the image's configuration; whoever runs the test is the client. */
export class AppBusFixture implements AsyncDisposable {
  readonly kept = new KeptLog();
  readonly deferrals: Deferrals;
  /** Seconds. */
  longestDeferral = 3600;
  readonly client = new Lwm2mClient({ endpointName: 'board', objects: [serverObject({ lifetime: 3600 })] });
  readonly apps: AppBus;
  callers: AppCallers = new Map();
  readonly socket: string;
  readonly #folder = new TemporaryFolder();
  readonly #stop = new AbortController();
  #bus: ChildProcess | undefined;
  #done: Promise<void> | undefined;

  constructor(limits: Pick<AppBusOptions, 'callsAtOnce' | 'callsPerSecond'> = {}) {
    chmodSync(this.#folder.path, 0o755);
    this.socket = join(this.#folder.path, 'socket');
    this.deferrals = new Deferrals({ longest: () => this.longestDeferral, log: this.kept.log });
    this.apps = new AppBus({
      socket: this.socket,
      callers: { read: async () => await Promise.resolve(this.callers) },
      factory: { endpointName: 'mbl-board-1' },
      image: parseImageIdentity(imageJson, 'image.json'),
      platform: new FakePlatform(),
      deferrals: this.deferrals,
      synchronized: join(this.#folder.path, 'synchronized'),
      log: this.kept.log,
      ...limits,
    });
    this.apps.serve(this.client);
  }

  static async start(callers: AppCallers): Promise<AppBusFixture> {
    return await new AppBusFixture().start(callers);
  }

  async start(callers: AppCallers): Promise<this> {
    this.callers = callers;
    await this.startBus();
    this.#done = this.apps.run(this.#stop.signal);
    await this.kept.until(/^apps can talk/, 1, 60_000);
    return this;
  }

  get address(): string {
    return `unix:path=${this.socket}`;
  }

  synchronizeClock(): void {
    writeFileSync(join(this.#folder.path, 'synchronized'), '');
  }

  async startBus(): Promise<void> {
    const file = join(this.#folder.path, 'bus.conf');
    const text = readFileSync(config, 'utf8')
      .replace('/run/mbl/apps/bus/socket', this.socket)
      .replace('user="mbl-cloud-client"', `user="${userInfo().username}"`);
    writeFileSync(file, text);
    const args = [`--config-file=${file}`, '--nofork', '--nopidfile', '--print-address'];
    const bus = spawn('dbus-daemon', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#bus = bus;
    await new Promise<void>((resolve, reject) => {
      bus.stdout.once('data', () => resolve());
      bus.once('error', reject);
      bus.once('exit', (status) => reject(new Error(`dbus-daemon ended with ${status}`)));
    });
  }

  /** As a crash does. */
  async stopBus(): Promise<void> {
    const bus = this.#bus;
    this.#bus = undefined;
    if (bus === undefined) return;
    const gone = new Promise((resolve) => bus.once('exit', resolve));
    bus.kill('SIGKILL');
    await gone;
  }

  /** A connection of an app's. */
  connect(): AppConnection {
    return new AppConnection(this.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
    await this.client[Symbol.asyncDispose]();
    await this.stopBus();
    this.#folder[Symbol.dispose]();
  }
}

/** For tests: an app, by another implementation of D-Bus than the service's own. */
export class AppConnection implements AsyncDisposable {
  readonly bus: MessageBus;
  /** Signals that came, as `[member, ...arguments]`. */
  readonly signals: unknown[][] = [];

  constructor(busAddress: string) {
    this.bus = createClient({ busAddress, authMethods: ['EXTERNAL'] });
    this.bus.connection.on('error', () => undefined);
    this.bus.connection.on('message', ({ type, sender, member, body }) => {
      if (type === 4 && sender !== 'org.freedesktop.DBus') this.signals.push([member, ...(body ?? [])]);
    });
  }

  /** A method of Cloud1 or Device1, by its name alone. */
  async call(member: string, signature = '', ...body: unknown[]): Promise<unknown> {
    const name = member.startsWith('Get') && /Time|Network/.test(member) ? 'Device1' : 'Cloud1';
    return await this.callOf(member === 'DeferRestart' ? 'Device1' : name, member, signature, ...body);
  }

  async callOf(name: string, member: string, signature = '', ...body: unknown[]): Promise<unknown> {
    return await this.bus.invoke<unknown>(
      {
        destination: `com.mbl.${name}`,
        path: `/com/mbl/${name}`,
        interface: `com.mbl.${name}`,
        member,
        ...(signature === '' ? {} : { signature, body }),
      },
      { timeout: 60_000 },
    );
  }

  async property(name: string, property: string): Promise<unknown> {
    return await this.bus.invoke<unknown>(
      {
        destination: `com.mbl.${name}`,
        path: `/com/mbl/${name}`,
        interface: 'org.freedesktop.DBus.Properties',
        member: 'Get',
        signature: 'ss',
        body: [`com.mbl.${name}`, property],
      },
      { timeout: 60_000 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
  }
}
