// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
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

/** Events in the order of their commits, which their ids are not in: these are given before that. */
const commitOrder = (accountId: string): PageOrder => ({
  column: 'position',
  // Of an event that was pruned, the place between what is older and the first that is not.
  after: (id, order) => sql`coalesce(
    (select position from device_events where id = ${id} and account_id = ${accountId}),
    (select min(position) from device_events where id > ${id} and account_id = ${accountId}) - ${order === 'ASC' ? 1 : 0}::bigint)`,
});

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
      return fetchPage(selected, query, toDeviceEvent, commitOrder(accountId));
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
