// SPDX-License-Identifier: Apache-2.0
import { dirname, join } from 'node:path';
import {
  type AppReleaseStatus,
  type AppStatus,
  parseAppReleaseStatus,
  parseAppStatus,
  readText,
} from '@mbl/formats';
import { appStateOf, type Units, unitOfApp } from './units.ts';

export interface AppsStatus {
  readonly releases: readonly AppReleaseStatus[];
  readonly apps: readonly AppStatus[];
}

const mostBytes = 1 << 20;
const mostEntries = 256;

/**
 * How apps do: what the app manager wrote down of releases and apps, and of each app what the system manager says of its unit now. What the app manager has not said
 * yet is nothing.
 */
export async function readAppStatus(path: string, units: Units): Promise<AppsStatus> {
  const written = entriesOf((await readText(path, mostBytes).catch(() => undefined)) ?? '{}');
  const releases = written.releases.flatMap((one) =>
    lenient(() => parseAppReleaseStatus(JSON.stringify(one))),
  );
  const apps: AppStatus[] = [];
  for (const one of written.apps) {
    const nothing = { state: 'stopped', since: 0, restarts: 0, memory: 0 };
    for (const app of lenient(() => parseAppStatus(JSON.stringify({ ...one, ...nothing }))))
      apps.push(withHealth(await withUnit(app, units), await failuresOf(dirname(path), app.name)));
  }
  return { releases, apps };
}

/** Reads `{releases, apps}` as `GetApps` gives it. What is not well formed is left out. */
export function parseApps(text: string): AppsStatus {
  const { releases, apps } = entriesOf(text);
  return {
    releases: releases.flatMap((one) => lenient(() => parseAppReleaseStatus(JSON.stringify(one)))),
    apps: apps.flatMap((one) => lenient(() => parseAppStatus(JSON.stringify(one)))),
  };
}

async function withUnit(app: AppStatus, units: Units): Promise<AppStatus> {
  const unit = await units.read(unitOfApp(app.name));
  if (unit === undefined) return app;
  const live = appStateOf(unit);
  return { ...app, ...live, ...(live.reason === '' && { reason: app.reason, detail: app.detail }) };
}

/** How often in a row the health command of an app failed, as its units count it; 0 where it has none. */
async function failuresOf(folder: string, app: string): Promise<number> {
  const text = await readText(join(folder, app, 'failures'), 16).catch(() => undefined);
  return /^[1-9]\d{0,2}\n$/.test(text ?? '') ? Number(text) : 0;
}

function withHealth(app: AppStatus, failures: number): AppStatus {
  if (failures === 0 || app.state !== 'running') return app;
  const detail = `the health command failed ${failures} ${failures === 1 ? 'time' : 'times'} in a row`;
  return { ...app, state: 'unhealthy', reason: 'app/unhealthy', detail };
}

function entriesOf(text: string): { releases: object[]; apps: object[] } {
  const objects = (value: unknown): object[] =>
    Array.isArray(value)
      ? value.filter((one): one is object => typeof one === 'object' && one !== null).slice(0, mostEntries)
      : [];
  try {
    const { releases, apps } = JSON.parse(text) as { releases?: unknown; apps?: unknown };
    return { releases: objects(releases), apps: objects(apps) };
  } catch {
    return { releases: [], apps: [] };
  }
}

/** What is not well formed is left out. */
function lenient<T>(read: () => T): T[] {
  try {
    return [read()];
  } catch {
    return [];
  }
}
