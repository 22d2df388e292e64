// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import type { Context } from '../../context.ts';
import type { Presubscription } from './table.ts';

/** What is to be observed of a device that registers. */
export interface Kept {
  /** Paths, the oldest first. */
  readonly subscribed: readonly string[];
  readonly presubscriptions: readonly Presubscription[];
}

/** Reads it for many devices at once: there is one for each id. */
export async function readKept(
  context: Pick<Context, 'db' | 'accountId'>,
  deviceIds: readonly string[],
): Promise<Map<string, Kept>> {
  // One row: the same for all devices, then what each has.
  const { rows } = await sql<{ entries: Presubscription[] | null; paths: Record<string, string[]> | null }>`
    select
      (select entries from presubscriptions where account_id = ${context.accountId}) as entries,
      (select jsonb_object_agg(device_id, paths) from (
        select device_id, jsonb_agg(path order by created_at) as paths
        from subscriptions where device_id = any(${deviceIds}::text[]) group by device_id
      ) as kept) as paths`.execute(context.db);
  const [{ entries, paths } = { entries: null, paths: null }] = rows;
  const presubscriptions = entries ?? [];
  return new Map(deviceIds.map((id) => [id, { subscribed: paths?.[id] ?? [], presubscriptions }]));
}

export async function readPresubscriptions({
  db,
  accountId,
}: Pick<Context, 'db' | 'accountId'>): Promise<Presubscription[]> {
  const row = await db
    .selectFrom('presubscriptions')
    .select('entries')
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return row?.entries ?? [];
}
