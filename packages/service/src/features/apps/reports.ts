// SPDX-License-Identifier: Apache-2.0
import { type SqlBool, sql } from 'kysely';
import type { Context } from '../../context.ts';
import type { Db } from '../../schema.ts';
import type { EventRecorder, NewDeviceEvent } from '../device-events/recorder.ts';
import { type AppHappening, type AppReport, happenings, storedReport } from './report.ts';
import type { AppReleaseRow, DesiredAppRow, DeviceAppRow } from './table.ts';

/** What is written down of a device: what it is to have, and what it said last. */
export interface Standing {
  readonly orders: readonly DesiredAppRow[];
  readonly report: AppReport;
}

/** Events that a device can cause in a day; what more happens shows in how its apps stand. */
const mostInADay = 64;
/** Of apps alone: one that starts again and again must not hide how a release fares. */
const mostOfApps = 32;

/** Reads it for many devices at once: there is one for each id. */
export async function readStandings(
  { db }: Pick<Context, 'db'>,
  deviceIds: readonly string[],
): Promise<Map<string, Standing>> {
  const ofDevices = sql<SqlBool>`device_id = any(${deviceIds}::text[])`;
  const [orders, releases, apps] = await Promise.all([
    db.selectFrom('desired_apps').selectAll().where(ofDevices).execute(),
    db.selectFrom('app_release_reports').selectAll().where(ofDevices).execute(),
    db.selectFrom('device_apps').selectAll().where(ofDevices).execute(),
  ]);
  const by = <Row extends { device_id: string }>(rows: readonly Row[]) =>
    Map.groupBy(rows, (row) => row.device_id);
  const [ordersOf, releasesOf, appsOf] = [by(orders), by(releases), by(apps)];
  return new Map(
    deviceIds.map((id) => [
      id,
      {
        orders: ordersOf.get(id) ?? [],
        report: storedReport(releasesOf.get(id) ?? [], appsOf.get(id) ?? []),
      },
    ]),
  );
}

/** What devices said last of their apps, with the events that go with it. */
export class AppReports {
  readonly #context: Context;
  readonly #events: EventRecorder;

  constructor(context: Context, events: EventRecorder) {
    this.#context = context;
    this.#events = events;
  }

  /** Writes down what a device says now, and an event for each verdict and each failure that is new. May be done twice. */
  async write(deviceId: string, report: AppReport): Promise<void> {
    const at = new Date(this.#context.now());
    await this.#events.transaction(async (db, _record, recordAll) => {
      const device = await keptDevice(db, deviceId);
      // Removed from the directory while it was asked.
      if (device === undefined) return;
      const [releases, apps, own] = await Promise.all([
        db.selectFrom('app_release_reports').selectAll().where('device_id', '=', deviceId).execute(),
        db.selectFrom('device_apps').selectAll().where('device_id', '=', deviceId).execute(),
        db.selectFrom('app_reports').selectAll().where('device_id', '=', deviceId).executeTakeFirst(),
      ]);
      const today = at.toISOString().slice(0, 10);
      const before = own?.events_on === today ? own.events : 0;
      const told = bounded(happenings(storedReport(releases, apps), report), before);
      const events = { events_on: today, events: before + told.length };
      await db
        .insertInto('app_reports')
        .values({ device_id: deviceId, reported_at: at, ...events })
        .onConflict((conflict) => conflict.column('device_id').doUpdateSet({ reported_at: at, ...events }))
        .execute();
      await this.#writeReleases(db, deviceId, report, releases, at);
      await this.#writeApps(db, deviceId, report, apps, at);
      await recordAll(
        told.map((one) => ({ ...describe(one), deviceId, endpointName: device.endpoint_name })),
      );
    });
  }

  async #writeReleases(
    db: Db,
    deviceId: string,
    { releases }: AppReport,
    before: readonly AppReleaseRow[],
    at: Date,
  ): Promise<void> {
    await db.deleteFrom('app_release_reports').where('device_id', '=', deviceId).execute();
    if (releases.length === 0) return;
    const rows = releases.map(({ team, release, running, state, reason, detail, fetched, toFetch }) => {
      const known = before.find((row) => row.team === team);
      const same =
        known?.release === release &&
        known.running === running &&
        known.state === state &&
        known.reason === reason;
      return {
        ...{ device_id: deviceId, team, release, running, state, reason, detail },
        bytes_fetched: fetched,
        bytes_to_fetch: toFetch,
        since: same ? known.since : at,
      };
    });
    await db.insertInto('app_release_reports').values(rows).execute();
  }

  async #writeApps(
    db: Db,
    deviceId: string,
    { apps }: AppReport,
    before: readonly DeviceAppRow[],
    at: Date,
  ): Promise<void> {
    await db.deleteFrom('device_apps').where('device_id', '=', deviceId).execute();
    if (apps.length === 0) return;
    const rows = apps.map(({ since, ...app }) => {
      const known = before.find((row) => row.name === app.name);
      const same = known?.version === app.version && known.team === app.team;
      return {
        ...app,
        account_id: this.#context.accountId,
        device_id: deviceId,
        since: since === 0 ? null : new Date(since),
        found_at: same ? known.found_at : at,
      };
    });
    await db.insertInto('device_apps').values(rows).execute();
  }

  /** Writes down why a device does not take what it is to have; '' where it does. */
  async setProblem(deviceId: string, problem: string): Promise<void> {
    const { db, now } = this.#context;
    const at = new Date(now());
    await db.transaction().execute(async (inside) => {
      if ((await keptDevice(inside, deviceId)) === undefined) return;
      const events = { events_on: at.toISOString().slice(0, 10), events: 0 };
      if (problem !== '')
        await inside
          .insertInto('app_reports')
          .values({ device_id: deviceId, reported_at: at, ...events })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      await inside
        .updateTable('app_reports')
        .set({ problem })
        .where('device_id', '=', deviceId)
        .where('problem', '<>', problem)
        .execute();
    });
  }
}

/** A device that stays in the directory until the transaction has ended. */
async function keptDevice(db: Db, deviceId: string): Promise<{ endpoint_name: string | null } | undefined> {
  return await db
    .selectFrom('devices')
    .select('endpoint_name')
    .where('id', '=', deviceId)
    .forKeyShare()
    .executeTakeFirst();
}

function bounded(all: readonly AppHappening[], before: number): AppHappening[] {
  let count = before;
  return all.filter(({ of }) => {
    if (count >= (of === 'app' ? mostOfApps : mostInADay)) return false;
    count += 1;
    return true;
  });
}

type Described = Pick<NewDeviceEvent, 'type' | 'description' | 'data'>;

function describe({ of, status }: AppHappening): Described {
  const because = status.detail === '' ? '' : `: ${status.detail}`;
  const { team, release, state, reason } = status;
  const data = { team, release, state, reason };
  if (of === 'app') {
    const { name: app, version } = status;
    const description = `The app ${app} ${version} ${appWords[status.state] ?? status.state}${because}`;
    return { type: 'device.app-failed', description, data: { app, version, ...data } };
  }
  switch (status.state) {
    case 'running':
      return { type: 'device.apps-running', description: `The apps of ${team} ${release} run`, data };
    case 'fell-back': {
      const back = status.running === '' ? 'none of its apps' : status.running;
      const description = `Went back from ${team} ${release} to ${back}${because}`;
      return { type: 'device.apps-fell-back', description, data };
    }
    default:
      return { type: 'device.apps-refused', description: `Refused ${team} ${release}${because}`, data };
  }
}

const appWords: Readonly<Record<string, string>> = {
  failed: 'failed',
  unhealthy: 'is not healthy',
  restarting: 'ended, and is started again',
};
