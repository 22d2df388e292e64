// SPDX-License-Identifier: Apache-2.0
import { type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { date, type FilterFields, flag, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, type PageOrder, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import { deviceEvent, toDeviceEvent } from './model.ts';

const filters: FilterFields = {
  id: text,
  device_id: text,
  endpoint_name: text,
  event_type: text,
  description: text,
  date_time: date,
  state_change: flag,
};

const tags = ['device events'];

/**
 * Events in the order of their commits. Ids are given before that: by id alone, an event that was committed late would come up behind a
 * reader's cursor. An event is shown when every transaction that may still write an earlier one has ended.
 */
const commitOrder: PageOrder = {
  columns: ['written_by', 'id'],
  settled: sql<SqlBool>`written_by < pg_snapshot_xmin(pg_current_snapshot())`,
  // The row itself, or where it was pruned the next one, with the place before it.
  after: (id) =>
    sql`(select written_by, ${id}::text from device_events where id >= ${id} order by id limit 1)`,
};

export function deviceEventRoutes(app: App, { db, accountId }: Context): void {
  const events = () => db.selectFrom('device_events').selectAll().where('account_id', '=', accountId);

  app.get(
    '/v3/device-events',
    {
      schema: {
        tags,
        summary: 'List what happened to devices',
        querystring: listQuery(filters),
        response: { 200: pageOf(deviceEvent) },
      },
    },
    ({ query }) => {
      let selected = events();
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      return fetchPage(selected, query, toDeviceEvent, commitOrder);
    },
  );

  app.get(
    '/v3/device-events/:id',
    {
      config: { refusals: { not_found: 'There is no such device event' } },
      schema: {
        tags,
        summary: 'One device event',
        params: z.object({ id: z.string() }),
        response: { 200: deviceEvent },
      },
    },
    async ({ params }) => {
      const row = await events().where('id', '=', params.id).executeTakeFirst();
      if (row === undefined) throw new HttpError('not_found', 'No such device event');
      return toDeviceEvent(row);
    },
  );
}
