// SPDX-License-Identifier: Apache-2.0
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
  const [presubscriptions, rows] = await Promise.all([
    readPresubscriptions(context),
    context.db
      .selectFrom('subscriptions')
      .select(['device_id', 'path'])
      .where('device_id', 'in', deviceIds)
      .orderBy('created_at')
      .execute(),
  ]);
  const paths = Map.groupBy(rows, (row) => row.device_id);
  return new Map(
    deviceIds.map((id) => [
      id,
      { subscribed: (paths.get(id) ?? []).map(({ path }) => path), presubscriptions },
    ]),
  );
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
