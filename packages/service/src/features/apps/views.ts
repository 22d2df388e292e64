// SPDX-License-Identifier: Apache-2.0
import { type SqlBool, sql } from 'kysely';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import type { Reach } from '../connections/session.ts';
import { hasApps } from './carrier.ts';
import { composeDesired } from './desired.ts';
import {
  type DeviceAppRelease,
  type DeviceApps,
  type GroupAppRelease,
  toDeviceApp,
  toDeviceRelease,
  toGroupRelease,
} from './model.ts';
import type { AppOrderRow } from './table.ts';

/** Devices that are named beside the counts of a group. */
const mostNamed = 100;

export interface AppViewParts {
  readonly reach: Reach;
}

/** What devices are to have, beside what they have. */
export class AppViews {
  readonly #context: Context;
  readonly #parts: AppViewParts;

  constructor(context: Context, parts: AppViewParts) {
    this.#context = context;
    this.#parts = parts;
  }

  async ofDevice(deviceId: string): Promise<DeviceApps> {
    const { db } = this.#context;
    const [orders, reports, apps, own] = await Promise.all([
      db.selectFrom('desired_apps').selectAll().where('device_id', '=', deviceId).execute(),
      db.selectFrom('app_release_reports').selectAll().where('device_id', '=', deviceId).execute(),
      db.selectFrom('device_apps').selectAll().where('device_id', '=', deviceId).orderBy('name').execute(),
      db.selectFrom('app_reports').selectAll().where('device_id', '=', deviceId).executeTakeFirst(),
    ]);
    const device = this.#parts.reach(deviceId);
    const runsApps = device === undefined ? null : hasApps(device);
    const { leftOut } = composeDesired(orders);
    const teams = new Set([...orders, ...reports].map(({ team }) => team));
    return {
      object: 'device-apps',
      device_id: deviceId,
      runs_apps: runsApps,
      problem: own?.problem ?? '',
      reported_at: own?.reported_at.toISOString() ?? null,
      releases: [...teams].toSorted().map((team) =>
        toDeviceRelease(
          deviceId,
          team,
          orders.find((row) => row.team === team),
          reports.find((row) => row.team === team),
          { online: device !== undefined, runsApps, leftOut: leftOut.has(team) },
        ),
      ),
      apps: apps.map(toDeviceApp),
    };
  }

  /** How the apps of a team stand on a device; undefined where there is no order for it, and the device has none. */
  async ofTeam(deviceId: string, team: string): Promise<DeviceAppRelease | undefined> {
    return (await this.ofDevice(deviceId)).releases.find((one) => one.team === team);
  }

  /** How the order of a group fares: counted by the database, whatever the size of the group. */
  async ofGroup(order: AppOrderRow): Promise<GroupAppRelease> {
    const { db } = this.#context;
    const { group_id: groupId, team, release } = order;
    const { rows: counts } = await sql<{ state: string | null; count: number }>`
      select case
          when wanted.id <> ${order.id} then null
          when reports.release = ${release} then reports.state
          else 'waits'
        end as state, count(*)::integer as count
      from device_group_members members
      join lateral (select id from desired_apps where device_id = members.device_id and team = ${team}) wanted on true
      left join app_release_reports reports on reports.device_id = members.device_id and reports.team = ${team}
      where members.group_id = ${groupId} group by 1`.execute(db);
    const unwell = await db
      .selectFrom('device_group_members')
      .innerJoin('app_release_reports', 'app_release_reports.device_id', 'device_group_members.device_id')
      .innerJoin('devices', 'devices.id', 'device_group_members.device_id')
      .select(['devices.id', 'devices.endpoint_name', 'app_release_reports.state', 'reason', 'detail'])
      .where('group_id', '=', groupId)
      .where('app_release_reports.team', '=', team)
      .where('app_release_reports.release', '=', release)
      .where('app_release_reports.state', 'in', ['fell-back', 'refused'])
      .where(
        sql<SqlBool>`(select id from desired_apps where device_id = devices.id and team = ${team}) = ${order.id}`,
      )
      .orderBy('devices.id')
      .limit(mostNamed)
      .execute();
    return toGroupRelease(
      order,
      counts,
      unwell.map((row) => ({
        device_id: row.id,
        endpoint_name: row.endpoint_name ?? '',
        state: row.state,
        reason: row.reason,
        sentence: row.detail,
      })),
    );
  }
}

export function noOrder(team: string): HttpError {
  return new HttpError('not_found', `There is no order for the apps of ${team}`);
}
