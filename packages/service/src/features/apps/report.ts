// SPDX-License-Identifier: Apache-2.0
import {
  type AppReleaseStatus,
  type AppStatus,
  isAppReason,
  isUpdateReason,
  parseAppReleaseStatus,
  parseAppStatus,
} from '@mbl/formats';
import type { Node } from '@mbl/lwm2m';
import { MblError } from '@mbl/trust';
import { storable } from '../../infra/database.ts';
import type { AppReleaseRow, DeviceAppRow } from './table.ts';

/** What a device says of its apps: each team once, and each app. */
export interface AppReport {
  readonly releases: readonly AppReleaseStatus[];
  readonly apps: readonly AppStatus[];
}

export const emptyReport: AppReport = { releases: [], apps: [] };

/** What is more is not looked at. */
const mostReleases = 64;
const mostApps = 256;
const mostText = 500;
/** A clock may be ahead a little; a later time is none. */
const aheadMs = 86_400_000;

export interface Read<T> {
  readonly found: readonly T[];
  /** Documents that are none, that name what was named before, or for which there is no room. */
  readonly leftOut: number;
}

/** The instances of resource 1 of object 33402. A device speaks for itself alone: whatever it says is about what is on it. */
export function readReleases(nodes: readonly Node[]): Read<AppReleaseStatus> {
  return readAll(nodes, mostReleases, parseAppReleaseStatus, (one) => one.team, cleanRelease);
}

/** The instances of resource 2. `now`: Unix time in ms, after which nothing can have been. */
export function readApps(nodes: readonly Node[], now: number): Read<AppStatus> {
  const clean = (one: AppStatus) => cleanApp(one, now);
  return readAll(nodes, mostApps, parseAppStatus, (one) => one.name, clean);
}

function readAll<T>(
  nodes: readonly Node[],
  most: number,
  parse: (text: string) => T,
  key: (one: T) => string,
  clean: (one: T) => T,
): Read<T> {
  const found = new Map<string, T>();
  for (const { value } of nodes.slice(0, most)) {
    const one = typeof value === 'string' ? parsed(value, parse) : undefined;
    if (one !== undefined && !found.has(key(one))) found.set(key(one), clean(one));
  }
  return { found: [...found.values()], leftOut: nodes.length - found.size };
}

function parsed<T>(text: string, parse: (text: string) => T): T | undefined {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof MblError) return undefined;
    throw error;
  }
}

function cleanRelease(one: AppReleaseStatus): AppReleaseStatus {
  const text = (value: string) => storable(value, mostText);
  return { ...one, release: text(one.release), running: text(one.running), detail: text(one.detail) };
}

function cleanApp(one: AppStatus, now: number): AppStatus {
  const text = (value: string) => storable(value, mostText);
  return {
    ...one,
    release: text(one.release),
    version: text(one.version),
    detail: text(one.detail),
    since: one.since > now + aheadMs ? 0 : one.since,
  };
}

/** What is written down of a device, as it said it. */
export function storedReport(releases: readonly AppReleaseRow[], apps: readonly DeviceAppRow[]): AppReport {
  const reason = (text: string) => (isAppReason(text) || isUpdateReason(text) ? text : '');
  return {
    releases: releases.map(({ team, release, running, state, detail, ...row }) => ({
      ...{ team, release, running, state, detail },
      reason: reason(row.reason),
      fetched: Number(row.bytes_fetched),
      toFetch: Number(row.bytes_to_fetch),
    })),
    apps: apps.map(({ name, team, release, version, state, detail, ...row }) => ({
      ...{ name, team, release, version, state, detail },
      reason: isAppReason(row.reason) ? row.reason : '',
      since: row.since?.getTime() ?? 0,
      restarts: Number(row.restarts),
      memory: Number(row.memory),
    })),
  };
}

/** Whether two reports say the same; `figures`: down to what changes all the time, as bytes do. */
export function sameReport(a: AppReport, b: AppReport, { figures }: { readonly figures: boolean }): boolean {
  const text = ({ releases, apps }: AppReport) =>
    JSON.stringify([
      releases
        .map((one) => (figures ? one : { ...one, fetched: 0, toFetch: 0 }))
        .map((one) => entriesOf(one))
        .toSorted(),
      apps
        .map((one) => (figures ? one : { ...one, memory: 0, restarts: 0 }))
        .map((one) => entriesOf(one))
        .toSorted(),
    ]);
  return text(a) === text(b);
}

function entriesOf(one: object): string {
  return JSON.stringify(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Something of a report that an event tells. */
export type AppHappening =
  | { readonly of: 'release'; readonly status: AppReleaseStatus }
  | { readonly of: 'app'; readonly status: AppStatus };

const verdicts: readonly AppReleaseStatus['state'][] = ['running', 'fell-back', 'refused'];
const unwell: readonly AppStatus['state'][] = ['failed', 'unhealthy', 'restarting'];

/** What happened between two reports: a release came to a verdict, an app that was well is not any more. */
export function happenings(before: AppReport, after: AppReport): AppHappening[] {
  const releases = after.releases.filter((status) => {
    const known = before.releases.find(({ team }) => team === status.team);
    const same = known?.state === status.state && known.release === status.release;
    return verdicts.includes(status.state) && !same;
  });
  const apps = after.apps.filter((status) => {
    const known = before.apps.find(({ name }) => name === status.name);
    const same =
      known !== undefined &&
      unwell.includes(known.state) &&
      known.release === status.release &&
      known.reason === status.reason;
    return unwell.includes(status.state) && !same;
  });
  return [
    ...releases.map((status) => ({ of: 'release', status }) as const),
    ...apps.map((status) => ({ of: 'app', status }) as const),
  ];
}
