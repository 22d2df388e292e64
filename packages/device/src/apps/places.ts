// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';

/** Where things of apps are: docs/decisions/0028-how-apps-run.md. */
export interface AppPlaces {
  /** What lasts. Nothing in it is believed. */
  readonly data: string;
  /** What is made anew at each start. */
  readonly run: string;
  /** Units that are made at run time. */
  readonly units: string;
  /** Where `mbl-platformd` leaves what it wants to have done. */
  readonly requests: string;
  /** What the start of the board leaves. */
  readonly boot: string;
  /** What is known of updates of the operating system. */
  readonly update: string;
}

export const devicePlaces: AppPlaces = {
  data: '/data/apps',
  run: '/run/mbl/apps',
  units: '/run/systemd/system',
  requests: '/run/mbl-platformd',
  boot: '/run/mbl',
  update: '/config/update',
};

/** Parts of the signed root. */
export const systemFiles = {
  root: '/etc/mbl/releases/root.json',
  image: '/etc/mbl/image.json',
  policy: '/etc/mbl/policy.d',
  seccomp: '/usr/lib/mbl/apps/seccomp.json',
  native: '/usr/lib/mbl/mbl-native',
  crun: '/usr/bin/crun',
  network: '/usr/lib/mbl/apps/network.sh',
  /** Where names are looked up; on a board without a network it is not there. */
  names: '/run/NetworkManager/resolv.conf',
} as const;

/** The paths that follow from those. */
export function pathsOf({ data, run, units, requests, boot, update }: AppPlaces) {
  const installed = join(data, 'installed');
  const team = (name: string) => join(installed, 'teams', name);
  const bundle = (app: string) => join(run, app);
  return {
    incoming: join(data, 'incoming'),
    image: (sha256: string) => join(data, 'incoming', `${sha256}.erofs`),
    desired: join(data, 'orders', 'desired.json'),
    orders: join(data, 'orders'),
    order: (name: string) => join(data, 'orders', `${name}.json`),
    installed,
    teams: join(installed, 'teams'),
    team,
    teamState: (name: string) => join(team(name), 'state.json'),
    releases: (name: string) => join(team(name), 'releases'),
    release: (name: string, release: string) => join(team(name), 'releases', `${release}.json`),
    images: join(installed, 'images'),
    installedImage: (fsVerity: string) => join(installed, 'images', `${fsVerity}.erofs`),
    /** What was taken over from whoever fetched it, and is not sealed and judged yet. */
    imageDraft: (fsVerity: string) => join(installed, 'images', `${fsVerity}.erofs.new`),
    accepted: join(installed, 'accepted'),
    acceptedBy: (name: string) => join(installed, 'accepted', `${name}.json`),
    stopped: join(installed, 'stopped'),
    stoppedApp: (app: string) => join(installed, 'stopped', app),
    slots: join(installed, 'slots.json'),
    journal: join(installed, 'journal.json'),
    volumes: join(data, 'volumes'),
    volumesOf: (app: string) => join(data, 'volumes', app),
    volume: (app: string, volume: string) => join(data, 'volumes', app, volume),
    run,
    status: join(run, 'status.json'),
    callers: join(run, 'callers.json'),
    answers: join(run, 'answers'),
    answer: (id: string) => join(run, 'answers', `${id}.json`),
    rollbacks: join(run, 'rollbacks'),
    rollback: (team: string) => join(run, 'rollbacks', team),
    bus: join(run, 'bus', 'socket'),
    bundle,
    config: (app: string) => join(bundle(app), 'config.json'),
    /** There while nothing is left to be done to start the app: a restart of `mbl-apps` leaves it alone. */
    begun: (app: string) => join(bundle(app), 'begun'),
    /** There while the release of an app is on trial. */
    trial: (app: string) => join(bundle(app), 'trial'),
    /** There once a unit of an app was written since the device started: from then on systemd may have read another one of its name. */
    written: join(run, '.written'),
    units,
    unit: (name: string) => join(units, name),
    trigger: join(requests, 'apps'),
    asks: join(requests, 'asks'),
    boot: join(boot, 'boot'),
    /** There once the start of the board has proved good. */
    proved: join(boot, 'proved'),
    /** There while something waits for that, which then has the next one made: that starts this program. */
    waits: join(boot, 'apps-wait'),
    go: join(boot, 'apps-go'),
    trialOfSystem: join(update, 'trial.json'),
  };
}

export type AppPaths = ReturnType<typeof pathsOf>;

export const unitOf = (app: string): string => `mbl-app-${app}.service`;
export const healthUnitOf = (app: string): string => `mbl-app-health-${app}.service`;
export const healthTimerOf = (app: string): string => `mbl-app-health-${app}.timer`;
