// SPDX-License-Identifier: Apache-2.0
import { rm, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { journalLog, type Log } from '../common/log.ts';
import { Agent } from './agent.ts';
import { AppMemory } from './apps/memory.ts';
import { AppUpdater } from './apps/updater.ts';
import { loadFactory } from './factory.ts';
import { IdentityStore } from './identity.ts';
import { AppBus } from './ipc/app-bus.ts';
import { CallersFile } from './ipc/callers-file.ts';
import { Deferrals } from './ipc/deferrals.ts';
import { loadImage } from '../common/image.ts';
import { connectPlatform } from './platform-client.ts';
import { loadSettings } from './settings.ts';
import { UpdateMemory } from './update/memory.ts';
import { OrderDoor } from './update/order-door.ts';
import { httpRepository } from './update/repository.ts';

/** EX_CONFIG of sysexits.h: the unit does not start the client again, for nothing would change. */
const badFactoryExit = 78;
const factoryErrors = ['device/no-factory', 'formats/bad-factory'];

/** Runs until the signal is aborted; the process's exit code. */
export async function runCloudClient(
  args: readonly string[],
  log: Log,
  signal: AbortSignal,
): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      // Where systemd puts what LoadCredential= names.
      factory: { type: 'string', default: process.env['CREDENTIALS_DIRECTORY'] ?? '/factory' },
      image: { type: 'string', default: '/etc/mbl/image.json' },
      identity: { type: 'string', default: '/config/identity' },
      // Where packages of releases are while they come; systemd's.
      packages: { type: 'string', default: process.env['STATE_DIRECTORY'] ?? '/var/lib/mbl-cloud-client' },
      // systemd's folder for this service, gone with it.
      runtime: { type: 'string', default: process.env['RUNTIME_DIRECTORY'] ?? '/run/mbl-cloud-client' },
      bus: { type: 'string', default: 'unix:path=/run/dbus/system_bus_socket' },
      // The apps: who they are, and their bus.
      callers: { type: 'string', default: '/run/mbl/apps/callers.json' },
      'app-bus': { type: 'string', default: '/run/mbl/apps/bus/socket' },
      synchronized: { type: 'string', default: '/run/systemd/timesync/synchronized' },
      // Milliseconds before orders at the board are taken: the seconds of a slow board go to being online.
      'order-pause': { type: 'string', default: '20000' },
    },
  });
  try {
    const factory = await loadFactory(join(values.factory, 'factory.json'));
    const image = await loadImage(values.image);
    log.info('starting', {
      endpoint: factory.endpointName,
      machine: image.machine,
      image: image.image,
      build: image.buildId,
      keys: image.keys,
    });
    await using platform = connectPlatform(values.bus);
    const pause = Number(values['order-pause']);
    const orders = new OrderDoor({ path: join(values.runtime, 'orders'), platform, log, pause });
    const repository = httpRepository({
      service: { ...factory.service, url: factory.service.est, trust: factory.trust },
      state: values.identity,
    });
    const updates = await UpdateMemory.load(values.identity);
    const memory = await AppMemory.load(values.identity);
    const apps = new AppUpdater({ platform, repository, memory, updates, log, now: Date.now });
    const deferrals = new Deferrals({ longest: () => updates.longestDeferral, log });
    const appBus = new AppBus({
      socket: values['app-bus'],
      callers: new CallersFile(values.callers, log),
      factory,
      image,
      platform,
      deferrals,
      synchronized: values.synchronized,
      log,
    });
    const agent = new Agent({
      factory,
      image,
      platform,
      orders,
      apps,
      appBus,
      deferrals,
      repository,
      log,
      registered: async (registered) => await mark(join(values.runtime, 'registered'), registered),
      store: new IdentityStore(values.identity, factory.endpointName),
      settingsDir: values.identity,
      settings: await loadSettings(values.identity),
      updates,
      packages: values.packages,
    });
    await Promise.all([agent.run(signal), orders.run(signal), apps.run(signal), appBus.run(signal)]);
    log.info('stopped');
    return 0;
  } catch (error) {
    const remedy = error instanceof MblError ? error.remedy : undefined;
    log.error('cloud client failed', {
      reason: error instanceof Error ? error.message : String(error),
      remedy,
    });
    return error instanceof MblError && factoryErrors.includes(error.code) ? badFactoryExit : 1;
  }
}

/** A file that is there while something holds. What cannot be written delays a verdict, and ends no connection. */
async function mark(path: string, holds: boolean): Promise<void> {
  await (holds ? writeFile(path, '') : rm(path, { force: true })).catch(() => undefined);
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  process.exitCode = await runCloudClient(process.argv.slice(2), journalLog(), stop.signal);
}
