// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { date, type FilterFields, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceGroups } from '../device-groups/groups.ts';
import type { DeviceDirectory } from '../devices/directory.ts';
import type { Catalogue } from '../releases/catalogue.ts';
import { mustKnow, releaseWanted } from '../releases/wanted.ts';
import type { OrderCarrier } from './carrier.ts';
import { type DeviceRelease, deviceRelease, groupOrder, releaseOrder, toOrder } from './model.ts';
import type { ReleaseOrders } from './orders.ts';

const filters: FilterFields = {
  id: text,
  device_id: text,
  group_id: text,
  group_order_id: text,
  release: text,
  state: text,
  reason: text,
  created_at: date,
  changed_at: date,
  ended_at: date,
};

const tags = ['releases of devices'];
const params = z.object({ id: z.string() });
const noDevice = 'There is no such device';
const noGroup = 'There is no such device group';

export interface ReleaseOrderRouteParts {
  readonly directory: DeviceDirectory;
  readonly groups: DeviceGroups;
  readonly orders: ReleaseOrders;
  readonly carrier: OrderCarrier;
  readonly catalogue: Catalogue;
  /** Names what devices run by the releases that there are now. */
  readonly refresh: () => Promise<void>;
}

/** Orders to go to a release: to a device, to the devices of a group. */
export function releaseOrderRoutes(
  app: App,
  { db, accountId }: Context,
  parts: ReleaseOrderRouteParts,
): void {
  const { directory, groups, orders, carrier, catalogue, refresh } = parts;

  async function show(id: string): Promise<DeviceRelease> {
    await refresh();
    const { release, build_id } = await directory.get(id);
    const [order, fallback] = await Promise.all([orders.latest(id), orders.lastFallback(id)]);
    return {
      object: 'device-release',
      device_id: id,
      release,
      build_id,
      order: order === undefined ? null : toOrder(order),
      last_fallback: fallback === undefined ? null : toOrder(fallback),
    };
  }

  app.get(
    '/v3/devices/:id/release',
    {
      config: { refusals: { not_found: noDevice } },
      schema: {
        tags,
        summary: 'What a device runs, and how its order stands',
        params,
        response: { 200: deviceRelease },
      },
    },
    (request) => show(request.params.id),
  );

  app.put(
    '/v3/devices/:id/release',
    {
      config: { refusals: { not_found: noDevice } },
      schema: {
        tags,
        summary: 'Order a device to go to a release, in the place of what it was ordered before',
        params,
        body: releaseWanted,
        response: { 200: deviceRelease },
      },
    },
    async ({ params: { id }, body }) => {
      const device = await directory.get(id);
      await mustKnow(catalogue, body);
      try {
        await orders.order(device, body);
      } finally {
        // In any case: an order may have been written down, and the answer to that be lost.
        carrier.ordered(id);
      }
      return await show(id);
    },
  );

  app.delete(
    '/v3/devices/:id/release',
    {
      config: {
        refusals: { not_found: noDevice, conflict: 'The device is starting the release: it is too late' },
      },
      schema: {
        tags,
        summary: 'Call off the order that runs for a device; where none does, nothing happens',
        params,
        response: { 200: deviceRelease },
      },
    },
    async ({ params: { id } }) => {
      const device = await directory.get(id);
      try {
        await orders.cancel(device);
      } finally {
        carrier.ordered(id);
      }
      return await show(id);
    },
  );

  app.put(
    '/v3/device-groups/:id/release',
    {
      config: { refusals: { not_found: noGroup } },
      schema: {
        tags,
        summary: 'Order each device that is in a group now to go to a release',
        params,
        body: releaseWanted,
        response: { 200: groupOrder },
      },
    },
    async ({ params: { id }, body }) => {
      await groups.get(id);
      await mustKnow(catalogue, body);
      const { deviceIds, ...made } = await orders.orderGroup(id, body).catch(async (error: unknown) => {
        await carrier.reload();
        throw error;
      });
      for (const deviceId of deviceIds) carrier.ordered(deviceId);
      const { release, repository = null } = body;
      return { object: 'group-release-order' as const, group_id: id, release, repository, ...made };
    },
  );

  const all = () => db.selectFrom('release_orders').selectAll().where('account_id', '=', accountId);

  app.get(
    '/v3/release-orders',
    {
      schema: {
        tags,
        summary: 'List orders to go to a release, those that have ended too',
        querystring: listQuery(filters),
        response: { 200: pageOf(releaseOrder) },
      },
    },
    ({ query }) => {
      let selected = all();
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      return fetchPage(selected, query, toOrder);
    },
  );

  app.get(
    '/v3/release-orders/:id',
    {
      config: { refusals: { not_found: 'There is no such order' } },
      schema: { tags, summary: 'One order', params, response: { 200: releaseOrder } },
    },
    async (request) => {
      const row = await all().where('id', '=', request.params.id).executeTakeFirst();
      if (row === undefined) throw new HttpError('not_found', 'No such order');
      return toOrder(row);
    },
  );
}
