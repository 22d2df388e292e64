// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { journalLog, type Log } from '../common/log.ts';
import { aborted } from '../common/wait.ts';
import { nativeBanks, nativeHelper } from '../firmware/native-banks.ts';
import { platformName, systemPlatform } from '../platform/contract.ts';
import { defaultSystem } from '../platform/options.ts';
import { tufVerifier } from '../platform/release.ts';
import { PlatformService } from './service.ts';
import { SystemUnits } from './system-units.ts';

/** Runs until the signal is aborted or the bus is gone; the process's exit code. */
export async function runPlatform(args: readonly string[], log: Log, signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      bus: { type: 'string', default: 'unix:path=/run/dbus/system_bus_socket' },
      root: { type: 'string', default: defaultSystem.root },
      'reboot-file': { type: 'string', default: defaultSystem.rebootFile },
      'boot-file': { type: 'string', default: defaultSystem.bootFile },
      'panic-file': { type: 'string', default: defaultSystem.panicFile },
      'order-file': { type: 'string', default: defaultSystem.orderFile },
      incidents: { type: 'string', default: defaultSystem.incidents },
      disk: { type: 'string', default: defaultSystem.disk },
      update: { type: 'string', default: defaultSystem.update },
      image: { type: 'string', default: defaultSystem.imageFile },
      apps: { type: 'string', default: defaultSystem.apps },
      'apps-said': { type: 'string', default: defaultSystem.appsSaid },
      'apps-asked': { type: 'string', default: defaultSystem.appsAsked },
      native: { type: 'string', default: nativeHelper },
      'release-root': { type: 'string', default: '/etc/mbl/releases/root.json' },
    },
  });
  await using units = new SystemUnits(values.bus);
  const platform = systemPlatform(
    {
      root: values.root,
      rebootFile: values['reboot-file'],
      bootFile: values['boot-file'],
      panicFile: values['panic-file'],
      orderFile: values['order-file'],
      incidents: values.incidents,
      disk: values.disk,
      update: values.update,
      imageFile: values.image,
      apps: values.apps,
      appsSaid: values['apps-said'],
      appsAsked: values['apps-asked'],
    },
    tufVerifier({ root: values['release-root'], seen: join(values.update, 'metadata') }),
    nativeBanks(values.native),
    units,
  );
  try {
    await using service = new PlatformService(platform, values.bus, log);
    await service.start();
    log.info('platform ready', { name: platformName });
    await aborted(signal, service.gone);
  } catch (error) {
    log.error('platform failed', { reason: error instanceof Error ? error.message : String(error) });
    return 1;
  }
  if (signal.aborted) return 0;
  log.error('bus lost');
  return 1;
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  process.exitCode = await runPlatform(process.argv.slice(2), journalLog(), stop.signal);
}
