// SPDX-License-Identifier: Apache-2.0
import { type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { date, type FilterFields, integer, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, type PageOrder, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import { type CatalogueApp, catalogueApp, deviceApp, toDeviceApp } from './model.ts';
import type { AppCatalogueRow } from './table.ts';

const counted = { ...integer, operators: [...integer.operators, 'lte', 'gte'] } as const;
const filters: FilterFields = {
  name: text,
  version: text,
  team: text,
  devices_count: counted,
  running_count: counted,
  failing_count: counted,
  since: date,
};
const deviceFilters: FilterFields = {
  device_id: text,
  version: text,
  team: text,
  release: text,
  state: text,
  reason: text,
  since: date,
  found_at: date,
};

/** Devices that are named beside an app and its version. */
const mostNamed = 20;

/** By name and version. */
const byKey: PageOrder = {
  column: 'key',
  after: (id, order) => {
    const all = order === 'ASC' ? sql`min(key)` : sql`max(key)`;
    return sql`(select ${all} from app_catalogue where id = ${id})`;
  },
};

/** Which apps there are on devices, in which versions, on how many and on which. */
export function appCatalogueRoutes(app: App, { db, accountId }: Context): void {
  const tags = ['apps of devices'];

  async function named(
    row: Pick<AppCatalogueRow, 'name' | 'version' | 'team'>,
  ): Promise<CatalogueApp['devices']> {
    const rows = await db
      .selectFrom('device_apps')
      .innerJoin('devices', 'devices.id', 'device_apps.device_id')
      .select(['device_id', 'endpoint_name', 'device_apps.state', 'found_at'])
      .where('device_apps.account_id', '=', accountId)
      .where('device_apps.name', '=', row.name)
      .where('version', '=', row.version)
      .where('team', '=', row.team)
      .orderBy('device_id')
      .limit(mostNamed)
      .execute();
    return rows.map((one) => ({
      device_id: one.device_id,
      endpoint_name: one.endpoint_name ?? '',
      state: one.state,
      since: one.found_at.toISOString(),
    }));
  }

  app.get(
    '/v3/apps',
    {
      schema: {
        tags,
        summary: 'List the apps that are on devices, by name and version',
        querystring: listQuery(filters),
        response: { 200: pageOf(catalogueApp) },
      },
    },
    async ({ query }) => {
      let selected = db.selectFrom('app_catalogue').selectAll().where('account_id', '=', accountId);
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      const page = await fetchPage(selected, query, (row) => row, byKey);
      const data: CatalogueApp[] = [];
      for (const { key: _key, account_id: _account, since, ...row } of page.data)
        data.push({
          object: 'app',
          ...row,
          since: since.toISOString(),
          devices: await named(row),
          etag: since.toISOString(),
        });
      return { ...page, data };
    },
  );

  app.get(
    '/v3/apps/:app/devices',
    {
      schema: {
        tags,
        summary: 'List the devices that have an app, and how it does there',
        params: z.object({ app: z.string() }),
        querystring: listQuery(deviceFilters),
        response: { 200: pageOf(deviceApp) },
      },
    },
    ({ params: { app: name }, query }) => {
      // A device has an app once.
      let selected = db
        .selectFrom('device_apps')
        .selectAll()
        .where('account_id', '=', accountId)
        .where(sql<SqlBool>`name = ${name}`);
      for (const condition of parseFilters(query, deviceFilters)) selected = selected.where(condition);
      const after: PageOrder['after'] = (id) => sql`${id}::text`;
      return fetchPage(selected, query, toDeviceApp, { column: 'device_id', after });
    },
  );
}
