// SPDX-License-Identifier: Apache-2.0
import type { AppDescription, AppHealth } from '@mbl/formats';
import { networkArguments, usesBus, usesNetwork } from './bundle.ts';
import { idsOf } from './owner.ts';
import { type AppPaths, healthTimerOf, healthUnitOf, systemFiles, unitOf } from './places.ts';

export interface UnitOptions {
  readonly app: AppDescription;
  readonly team: string;
  readonly slot: number;
  readonly paths: AppPaths;
}

/** The socket unit of the apps' bus. */
export const busSocketUnit = 'mbl-app-bus.socket';
/** The bridge, and the rules for it: there while an app needs it. */
export const networkUnit = 'mbl-apps-network.service';

/** What crun needs to start a container: the app's own limit may be lower. */
const leastTasks = 4;

/**
 * The units of an app, by their names (systemd.service(5), systemd.resource-control(5)). Names, numbers and hex digits are all that is put into
 * them: nothing has to be quoted, and the app chooses no line.
 */
export function writeUnits(options: UnitOptions): ReadonlyMap<string, string> {
  const { app } = options;
  const units = new Map([[unitOf(app.name), serviceOf(options)]]);
  if (app.health !== undefined) {
    units.set(healthUnitOf(app.name), healthServiceOf(app, app.health, options.paths));
    units.set(healthTimerOf(app.name), healthTimerText(app, app.health));
  }
  return units;
}

function serviceOf({ app, team, slot, paths }: UnitOptions): string {
  const { name, limits, restart, stop, image, health } = app;
  const { base, count } = idsOf(app, slot);
  const bundle = paths.bundle(name);
  const { native, crun } = systemFiles;
  const online = usesNetwork(app);
  const needs = [...(usesBus(app) ? [busSocketUnit] : []), ...(online ? [networkUnit] : [])];
  const before = [...app.after.map(unitOf), ...needs];
  const run = `${crun} --cgroup-manager=disabled run --detach --pid-file ${bundle}/pid --bundle ${bundle} ${name}`;
  const longest = Math.max(restart.longest, restart.delay);
  return text([
    '[Unit]',
    `Description=App ${name} of ${team}`,
    ...(before.length === 0 ? [] : [`After=${before.join(' ')}`]),
    ...(needs.length === 0 ? [] : [`Requires=${needs.join(' ')}`]),
    ...(health === undefined ? [] : [`Wants=${healthTimerOf(name)}`]),
    // The pauses below are the limit.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=forking',
    `PIDFile=${bundle}/pid`,
    'Slice=mbl-apps.slice',
    ...(health === undefined ? [] : [`ExecStartPre=-/bin/sh ${healthScript} ${name} begin`]),
    // Refuses every image but the signed one, and takes away what the last end left: its commands run in the app's own cgroup, and fail where that has
    // no memory or no process left. One command: systemd takes a tenth of a second for each on a small board.
    `ExecStart=${native} app mount ${paths.installedImage(image.fsVerity)} ${image.fsVerity} ${bundle}/rootfs ${base} ${count} then ${run}`,
    `ExecStopPost=-${crun} delete --force ${name}`,
    ...(online ? [`ExecStopPost=-${systemFiles.network} down ${networkArguments(app, slot).join(' ')}`] : []),
    `ExecStopPost=-${native} app unmount ${bundle}/rootfs`,
    'TimeoutStartSec=5min',
    // systemd takes 0 for no limit: who ignores the signal could not be ended, and would keep the device from restarting.
    `TimeoutStopSec=${Math.max(stop.grace, 1)}`,
    `KillSignal=${stop.signal}`,
    'KillMode=mixed',
    ...(restart.when === 'never' ? ['Restart=no'] : [`Restart=${restart.when}`]),
    `RestartSec=${Math.max(restart.delay * 1000, 100)}ms`,
    ...(longest > restart.delay ? ['RestartSteps=8', `RestartMaxDelaySec=${longest}s`] : []),
    `MemoryMax=${limits.memory}`,
    'MemorySwapMax=0',
    'OOMPolicy=stop',
    'OOMScoreAdjust=500',
    `TasksMax=${Math.max(limits.processes, leastTasks)}`,
    `CPUQuota=${limits.cpu}%`,
    ...diskLimits(paths, limits),
    'LogRateLimitIntervalSec=30s',
    `LogRateLimitBurst=${limits.log}`,
    `SyslogIdentifier=${name}`,
    ...deviceLines(app),
    'UMask=0022',
  ]);
}

const healthScript = '/usr/lib/mbl/app-health.sh';

/** The command runs in the app's container, and in limits of its own. */
function healthServiceOf(app: AppDescription, health: AppHealth, paths: AppPaths): string {
  const { name, limits } = app;
  return text([
    '[Unit]',
    `Description=Health of the app ${name}`,
    `After=${unitOf(name)}`,
    // Nothing to be asked while it does not run.
    `ConditionPathExists=${paths.bundle(name)}/pid`,
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=oneshot',
    'Slice=mbl-apps.slice',
    `ExecStart=${systemFiles.crun} --cgroup-manager=disabled exec --process ${paths.bundle(name)}/health.json ${name}`,
    // Counts, and has the app restarted.
    `ExecStopPost=-/bin/sh ${healthScript} ${name} end ${health.failures}`,
    `TimeoutStartSec=${Math.max(health.timeout, 1)}`,
    'TimeoutStopSec=10',
    'KillMode=control-group',
    `MemoryMax=${limits.memory}`,
    'MemorySwapMax=0',
    `TasksMax=${Math.max(limits.processes, leastTasks)}`,
    `CPUQuota=${limits.cpu}%`,
    ...diskLimits(paths, limits),
    'LogRateLimitIntervalSec=30s',
    `LogRateLimitBurst=${limits.log}`,
    `SyslogIdentifier=${name}`,
    ...deviceLines(app),
  ]);
}

function deviceLines({ permissions: { devices } }: AppDescription): string[] {
  return ['DevicePolicy=closed', ...devices.map((device) => `DeviceAllow=${device} rw`)];
}

/** Of the disk that has the volumes, and the images too. */
export function diskLimits(
  { volumes }: Pick<AppPaths, 'volumes'>,
  { read, write }: { readonly read: number; readonly write: number },
): string[] {
  return [`IOReadBandwidthMax=${volumes} ${read}`, `IOWriteBandwidthMax=${volumes} ${write}`];
}

function healthTimerText({ name }: AppDescription, { grace, interval }: AppHealth): string {
  return text([
    '[Unit]',
    `Description=When to ask for the health of the app ${name}`,
    `BindsTo=${unitOf(name)}`,
    `After=${unitOf(name)}`,
    '',
    '[Timer]',
    `OnActiveSec=${Math.max(grace, 1)}s`,
    `OnUnitInactiveSec=${Math.max(interval, 1)}s`,
    'AccuracySec=1s',
  ]);
}

function text(lines: readonly string[]): string {
  return `# SPDX-License-Identifier: Apache-2.0\n# Written by mbl-apps.\n${lines.join('\n')}\n`;
}
