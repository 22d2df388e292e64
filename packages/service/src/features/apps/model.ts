// SPDX-License-Identifier: Apache-2.0
import { appReleaseStates, appStates } from '@mbl/formats';
import { z } from 'zod';
import type { AppOrderRow, AppReleaseRow, DesiredAppRow, DeviceAppRow } from './table.ts';

const desired = z.object({
  release: z.string(),
  repository: z.string().nullable(),
  group_id: z.string().nullable().describe("The device group whose order it is; null: the device's own"),
  ordered_at: z.string(),
});

export const deviceAppRelease = z
  .object({
    object: z.literal('device-app-release'),
    device_id: z.string(),
    team: z.string(),
    desired: desired.nullable().describe('What the device is to have; null: none of the apps of this team'),
    state: z
      .enum(appReleaseStates)
      .nullable()
      .describe('How that stands, by the word of the device; `waits` where it has said nothing of it yet'),
    reason: z.string().describe('Why it stands so, for programs; may be empty'),
    sentence: z.string().describe('The same for people'),
    running: z.string().nullable().describe('The release whose apps run'),
    reported_release: z.string().nullable().describe('The release of which the device speaks'),
    bytes_fetched: z.number().int(),
    bytes_to_fetch: z.number().int().describe('0 where it is not known'),
    since: z.string().nullable().describe('When it came to stand so'),
  })
  .meta({ id: 'DeviceAppRelease' });

export type DeviceAppRelease = z.infer<typeof deviceAppRelease>;

export const deviceApp = z
  .object({
    object: z.literal('device-app'),
    id: z.string().describe('That of the device'),
    device_id: z.string(),
    name: z.string(),
    team: z.string(),
    release: z.string(),
    version: z.string(),
    state: z.enum(appStates),
    since: z.string().nullable().describe('In which it is in this state, by the clock of the device'),
    restarts: z.number().int().describe('How often it was started again by itself'),
    memory: z.number().int().describe('Bytes'),
    reason: z.string(),
    detail: z.string(),
    found_at: z.string().describe('When this version was first seen on the device'),
  })
  .meta({ id: 'DeviceApp' });

export type DeviceApp = z.infer<typeof deviceApp>;

export const deviceApps = z
  .object({
    object: z.literal('device-apps'),
    device_id: z.string(),
    runs_apps: z
      .boolean()
      .nullable()
      .describe('Whether the device takes apps, as far as is known while it is connected'),
    problem: z.string().describe('Why it does not take what it is to have; may be empty'),
    reported_at: z.string().nullable().describe('When it said something new of its apps last'),
    releases: z.array(deviceAppRelease),
    apps: z.array(deviceApp),
  })
  .meta({ id: 'DeviceApps' });

export type DeviceApps = z.infer<typeof deviceApps>;

export const groupAppRelease = z
  .object({
    object: z.literal('group-app-release'),
    group_id: z.string(),
    team: z.string(),
    release: z.string(),
    repository: z.string().nullable(),
    ordered_at: z.string(),
    devices_count: z.number().int().describe('Devices of the group'),
    overruled_count: z.number().int().describe('Those for which another order holds'),
    states: z
      .record(z.string(), z.number().int())
      .describe('How many of the others stand how; `waits` are those, too, that have said nothing of it yet'),
    unwell: z
      .array(
        z.object({
          device_id: z.string(),
          endpoint_name: z.string(),
          state: z.string(),
          reason: z.string(),
          sentence: z.string(),
        }),
      )
      .describe('Devices that went back from it or refused it; the first 100'),
  })
  .meta({ id: 'GroupAppRelease' });

export type GroupAppRelease = z.infer<typeof groupAppRelease>;

export const catalogueApp = z
  .object({
    object: z.literal('app'),
    id: z.string(),
    name: z.string(),
    version: z.string(),
    team: z.string(),
    devices_count: z.number().int(),
    running_count: z.number().int(),
    failing_count: z.number().int(),
    since: z.string().describe('When it was first seen on a device that has it'),
    devices: z
      .array(
        z.object({
          device_id: z.string(),
          endpoint_name: z.string(),
          state: z.enum(appStates),
          since: z.string(),
        }),
      )
      .describe('Devices that have it; the first 20, all of them: `/v3/apps/{name}/devices`'),
    etag: z.string(),
  })
  .meta({ id: 'App' });

export type CatalogueApp = z.infer<typeof catalogueApp>;

/** What is known of a device beside its reports. */
export interface Reach {
  readonly online: boolean;
  readonly runsApps: boolean | null;
  readonly leftOut: boolean;
}

/** What a device is to have of a team, beside what it said of that last. */
export function toDeviceRelease(
  deviceId: string,
  team: string,
  order: DesiredAppRow | undefined,
  report: AppReleaseRow | undefined,
  reach: Reach,
): DeviceAppRelease {
  const told = report !== undefined && (order === undefined || report.release === order.release);
  const standing = told
    ? { state: report.state, reason: report.reason, sentence: report.detail }
    : order === undefined
      ? { state: null, reason: '', sentence: '' }
      : { state: 'waits' as const, ...whyWaits(reach) };
  return {
    object: 'device-app-release',
    device_id: deviceId,
    team,
    desired:
      order === undefined
        ? null
        : {
            release: order.release,
            repository: order.repository,
            group_id: order.group_id,
            ordered_at: order.created_at.toISOString(),
          },
    ...standing,
    running: report === undefined || report.running === '' ? null : report.running,
    reported_release: report?.release ?? null,
    bytes_fetched: told ? Number(report.bytes_fetched) : 0,
    bytes_to_fetch: told ? Number(report.bytes_to_fetch) : 0,
    since: told ? report.since.toISOString() : (order?.created_at.toISOString() ?? null),
  };
}

function whyWaits({ online, runsApps, leftOut }: Reach): { reason: string; sentence: string } {
  if (leftOut) return { reason: 'too-many', sentence: 'The device is to have more than it can be told of' };
  if (!online) return { reason: 'device-away', sentence: 'Waits for the device, which is not connected' };
  if (runsApps === false)
    return { reason: 'no-apps', sentence: 'The device has no object 33402, by which apps come to it' };
  return { reason: 'told', sentence: 'The device has said nothing of it yet' };
}

export function toDeviceApp(row: DeviceAppRow): DeviceApp {
  return {
    object: 'device-app',
    id: row.device_id,
    device_id: row.device_id,
    name: row.name,
    team: row.team,
    release: row.release,
    version: row.version,
    state: row.state,
    since: row.since?.toISOString() ?? null,
    restarts: Number(row.restarts),
    memory: Number(row.memory),
    reason: row.reason,
    detail: row.detail,
    found_at: row.found_at.toISOString(),
  };
}

/** The order of a group, and how it fares: counts of states, `null` for devices where another order holds. */
export function toGroupRelease(
  order: AppOrderRow,
  counts: readonly { readonly state: string | null; readonly count: number }[],
  unwell: GroupAppRelease['unwell'],
): GroupAppRelease {
  const own = counts.filter((row): row is { state: string; count: number } => row.state !== null);
  return {
    object: 'group-app-release',
    group_id: order.group_id ?? '',
    team: order.team,
    release: order.release,
    repository: order.repository,
    ordered_at: order.created_at.toISOString(),
    devices_count: counts.reduce((sum, { count }) => sum + count, 0),
    overruled_count: counts.find(({ state }) => state === null)?.count ?? 0,
    states: Object.fromEntries(own.map(({ state, count }) => [state, count])),
    unwell: [...unwell],
  };
}
