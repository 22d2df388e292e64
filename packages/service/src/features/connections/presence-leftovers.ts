// SPDX-License-Identifier: Apache-2.0
import { type RawBuilder, sql } from 'kysely';
import type { Context } from '../../context.ts';
import type { EventOfMany, EventRecorder } from '../device-events/recorder.ts';

/** The events of devices whose service ended before it could write them down. */
export interface LeftoverEvents {
  readonly offline: EventOfMany;
  readonly expired: EventOfMany;
}

interface Leftover {
  readonly id: string;
  readonly endpoint_name: string | null;
  readonly was_online: boolean;
  readonly overdue: boolean;
}

/** So many devices in one transaction: what the process holds is bounded, and each of them has its events when its page is committed. */
const mostInPage = 5000;
/** Two connections work, each on about half of the devices. The planner takes a comparison for a third, and an equality for next to none. */
const lanes = [sql`hashtext(id) < 0`, sql`hashtext(id) >= 0`];

/**
 * Ends what a service left behind that was killed: nobody is connected, and registrations that ran out are over. For the start, before
 * anybody listens. A page that was committed is not found again: a start that broke off is taken up where it was. Resolves with how many
 * devices were left; rejects with the database's error, when nothing goes on any more.
 */
export async function endLeftovers(
  context: Context,
  events: EventRecorder,
  describe: LeftoverEvents,
  pageSize = mostInPage,
): Promise<number> {
  const ended = await Promise.allSettled(
    lanes.map(async (lane) => await endLane(context, events, describe, { lane, pageSize })),
  );
  let count = 0;
  for (const one of ended) {
    if (one.status === 'rejected') throw one.reason;
    count += one.value;
  }
  return count;
}

async function endLane(
  { db: database, accountId, now }: Context,
  events: EventRecorder,
  { offline, expired }: LeftoverEvents,
  { lane, pageSize }: { readonly lane: RawBuilder<unknown>; readonly pageSize: number },
): Promise<number> {
  const at = new Date(now());
  for (let count = 0, after = ''; ; ) {
    const page = await database.transaction().execute(async (db) => {
      const { rows } = await sql<Leftover>`
        update devices set online = false,
          state = case when overdue then 'deregistered' else state end,
          registration_expires_at = case when overdue then null else registration_expires_at end
        from (
          select id, online as was_online, coalesce(state = 'registered' and registration_expires_at < ${at}, false) as overdue
          from devices
          where account_id = ${accountId} and id > ${after} and ${lane}
            and (online or (state = 'registered' and registration_expires_at < ${at}))
          order by id limit ${pageSize}
        ) as leftover
        where devices.id = leftover.id
        returning devices.id, endpoint_name, was_online, overdue`.execute(db);
      const connected = rows.filter((one) => one.was_online);
      await events.recordOfMany(db, offline, connected);
      const registered = rows.filter((one) => one.overdue);
      await events.recordOfMany(db, expired, registered);
      return rows;
    });
    count += page.length;
    if (page.length < pageSize) return count;
    // In the order in which the rows were changed, which may be any.
    after = page.reduce((last, { id }) => (id > last ? id : last), after);
  }
}
