// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import { orderStates } from './plan.ts';
import type { ReleaseOrderRow } from './table.ts';

const time = z.string().nullable();

export const releaseOrder = z
  .object({
    object: z.literal('release-order'),
    id: z.string(),
    device_id: z.string(),
    group_id: z.string().nullable().describe('The device group to which the order was given'),
    group_order_id: z
      .string()
      .nullable()
      .describe('The same in all orders that were given to a group at once'),
    release: z.string(),
    repository: z.string().nullable(),
    state: z.enum(orderStates).describe('From `done` on it has ended'),
    reason: z.string().describe('Why it stands so, for programs'),
    sentence: z.string().describe('The same for people'),
    bytes_fetched: z.number().int().nullable(),
    bytes_to_fetch: z.number().int().nullable(),
    created_at: z.string(),
    changed_at: z.string().describe('When it came to stand so'),
    ended_at: time,
    etag: z.string(),
  })
  .meta({ id: 'ReleaseOrder' });

export type ReleaseOrder = z.infer<typeof releaseOrder>;

export const deviceRelease = z
  .object({
    object: z.literal('device-release'),
    device_id: z.string(),
    release: z.string().nullable().describe('What it runs, where a release is known to have its build'),
    build_id: z.string().nullable(),
    order: releaseOrder.nullable().describe('The order that runs, else the last one'),
    last_fallback: releaseOrder.nullable().describe('The last order after which the device went back'),
  })
  .meta({ id: 'DeviceRelease' });

export type DeviceRelease = z.infer<typeof deviceRelease>;

export const groupOrder = z
  .object({
    object: z.literal('group-release-order'),
    id: z.string().describe('The `group_order_id` of its orders'),
    group_id: z.string(),
    release: z.string(),
    repository: z.string().nullable(),
    ordered: z.number().int().describe('Devices that got a new order'),
    unchanged: z.number().int().describe('Devices whose running order is the same; it stays as it is'),
  })
  .meta({ id: 'GroupReleaseOrder' });

export type GroupReleaseOrder = z.infer<typeof groupOrder>;

export function toOrder(row: ReleaseOrderRow): ReleaseOrder {
  const bytes = (text: string | null) => (text === null ? null : Number(text));
  return {
    object: 'release-order',
    id: row.id,
    device_id: row.device_id,
    group_id: row.group_id,
    group_order_id: row.group_order_id,
    release: row.release,
    repository: row.repository,
    state: row.state,
    reason: row.reason,
    sentence: row.sentence,
    bytes_fetched: bytes(row.bytes_fetched),
    bytes_to_fetch: bytes(row.bytes_to_fetch),
    created_at: row.created_at.toISOString(),
    changed_at: row.changed_at.toISOString(),
    ended_at: row.ended_at?.toISOString() ?? null,
    etag: row.changed_at.toISOString(),
  };
}
