// SPDX-License-Identifier: Apache-2.0
import type { AppDescription, AppResource } from '@mbl/formats';
import type { JudgedRelease, Refusal } from './judge.ts';
import { type AppPolicy, notAllowed } from './policy.ts';

/** What decides whether a release may be installed, beside its signatures. */
export interface Surroundings {
  readonly policy: AppPolicy;
  /** Why the kernel does not confine apps; undefined where it does. */
  readonly unconfined: string | undefined;
  /** The version of the operating system. */
  readonly os: string;
  /** Of the other teams: what runs. */
  readonly others: readonly JudgedRelease[];
  /** Those and what ran before them: a way back must not lead into a conflict, and their volumes have their names. */
  readonly holders: readonly JudgedRelease[];
  /** Bytes that apps may have in all: images and volumes. */
  readonly capacity: number;
  /** Files that apps may have in all: without one that is free nobody, the app manager neither, writes anything. */
  readonly files: number;
  /** Bytes of the images that stay beside those of the release: those of every team, also of what ran before. */
  readonly kept: number;
}

/** `refused`: not by itself; `waits`: something else has to change first. */
export interface Obstacle extends Refusal {
  readonly state: 'waits' | 'refused';
}

/** The first thing that keeps a release away; undefined where nothing does. */
export function obstacleOf(release: JudgedRelease, around: Surroundings): Obstacle | undefined {
  const { apps } = release;
  if (around.unconfined !== undefined) return wait('app/not-confined', around.unconfined);
  for (const app of apps) {
    const denied = notAllowed(around.policy, release.team, app);
    if (denied !== undefined)
      return {
        state: 'refused',
        reason: 'app/not-allowed',
        detail: `${app.name} asks for ${denied}`,
      };
  }
  for (const app of apps) {
    const tooOld = systemTooOld(around.os, app);
    if (tooOld !== undefined) return { state: 'waits', ...tooOld };
  }
  const conflict = conflictOf(release, around.holders);
  if (conflict !== undefined) return wait('app/conflict', conflict);
  const present = new Set([release, ...around.others].flatMap((one) => one.apps.map(({ name }) => name)));
  for (const { name, after } of apps) {
    const lacking = after.find((one) => !present.has(one));
    if (lacking !== undefined)
      return wait('app/needs-app', `${name} starts after ${lacking}, which is not there`);
  }
  const volumes = [release, ...around.others].flatMap((one) => one.apps).flatMap((app) => app.volumes);
  const files = volumes.reduce((sum, one) => sum + one.files + 1, 0);
  if (files > around.files)
    return wait('app/no-room', `${files} files would be promised, and ${around.files} are for apps`);
  const promised = volumes.reduce((sum, { size }) => sum + size, 0);
  const images = apps.reduce((sum, { image }) => sum + image.size, 0);
  const needed = promised + images + around.kept;
  return needed <= around.capacity
    ? undefined
    : wait(
        'app/no-room',
        `${mebibytes(needed)} would be needed, and ${mebibytes(around.capacity)} are for apps`,
      );
}

/** What an app lacks that needs a newer operating system than the one that runs. */
export function systemTooOld(runs: string, { name, os }: AppDescription): Refusal | undefined {
  if (os === undefined || compareVersions(runs, os) >= 0) return undefined;
  const [version] = runs.split('+', 1);
  return {
    reason: 'app/needs-os',
    detail: `${name} needs version ${os} of the operating system, and ${version} runs`,
  };
}

function wait(reason: Refusal['reason'], detail: string): Obstacle {
  return { state: 'waits', reason, detail };
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / (1 << 20))} MiB`;

/** What only one app of a device may have: its name, published ports, names of the bus, instances of objects. */
function conflictOf({ apps }: JudgedRelease, holders: readonly JudgedRelease[]): string | undefined {
  const taken = new Map<string, string>();
  const kinds = new Map<string, string>();
  for (const { team, apps: theirs } of holders)
    for (const app of theirs) {
      for (const claim of claimsOf(app)) taken.set(claim, `${app.name} of ${team}`);
      for (const one of app.resources) kinds.set(resourceOf(one), kindOf(one));
    }
  for (const app of apps) {
    for (const claim of claimsOf(app)) {
      const owner = taken.get(claim);
      if (owner !== undefined) return `${owner} has ${claim}, as ${app.name} would`;
      taken.set(claim, app.name);
    }
    // An object is the same in all its instances: whoever registers second would be refused.
    for (const one of app.resources) {
      const kind = kinds.get(resourceOf(one)) ?? kindOf(one);
      if (kind !== kindOf(one))
        return `${one.path} is ${kind} for another app, and ${kindOf(one)} for ${app.name}`;
      kinds.set(resourceOf(one), kind);
    }
  }
  return undefined;
}

function claimsOf({ name, permissions: { ports, bus }, resources }: AppDescription): string[] {
  const instances = new Set(resources.map(({ path }) => path.slice(0, path.lastIndexOf('/'))));
  return [
    `the name ${name}`,
    ...ports.map(({ published, protocol }) => `the port ${published}/${protocol}`),
    ...bus.own.map((one) => `the name ${one} of the bus`),
    // Who registers first would have it (docs/decisions/0031).
    ...[...instances].map((one) => `the object ${one}`),
  ];
}

/** `/object/resource`: what the resource is in every instance. */
function resourceOf({ path }: AppResource): string {
  const [, object = '', , resource = ''] = path.split('/');
  return `/${object}/${resource}`;
}

function kindOf({ type, operations }: AppResource): string {
  return `${type} (${operations.toSorted().join(', ') || 'no operation'})`;
}

const collator = new Intl.Collator('en', { numeric: true });

/** By their numbers; what comes after a plus sign names a build and does not count. */
export function compareVersions(a: string, b: string): number {
  const parts = (text: string) => (text.split('+', 1)[0] ?? '').split(/[.~-]/);
  const [one, other] = [parts(a), parts(b)];
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const order = collator.compare(one[i] ?? '0', other[i] ?? '0');
    if (order !== 0) return order;
  }
  return 0;
}
