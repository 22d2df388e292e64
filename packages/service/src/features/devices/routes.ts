// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { nothing } from '../../infra/http/declared-answers.ts';
import { parseFilters } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import { type DeviceDirectory, type Disconnect, withGroups } from './directory.ts';
import { device, deviceChanges, deviceFilters, newDevice, toDevice } from './model.ts';

/** Pelion's block categories. */
const categories = ['lost_or_stolen', 'recalled', 'maintenance', 'security_breach', 'other'] as const;
const reason = z.strictObject({
  category: z.enum(categories),
  description: z.string().max(2000).default(''),
});

const tags = ['devices'];
const config = { refusals: { not_found: 'There is no such device' } };
const params = z.object({ id: z.string() });

export interface DeviceRouteParts {
  readonly directory: DeviceDirectory;
  readonly disconnect: Disconnect;
  /** Unix time in ms at which a connected device was last heard. */
  readonly lastSeen: (deviceId: string) => number | undefined;
  /** Names what devices run by the releases that there are now. */
  readonly refresh: () => Promise<void>;
}

export function deviceRoutes(app: App, { db, accountId }: Context, parts: DeviceRouteParts): void {
  const { directory, disconnect, lastSeen, refresh } = parts;

  app.get(
    '/v3/devices',
    {
      schema: {
        tags,
        summary: 'List devices',
        querystring: listQuery(deviceFilters),
        response: { 200: pageOf(device) },
      },
    },
    async ({ query }) => {
      await refresh();
      let selected = withGroups(db).where('account_id', '=', accountId);
      for (const condition of parseFilters(query, deviceFilters)) selected = selected.where(condition);
      return fetchPage(selected, query, (row) => toDevice(row, lastSeen(row.id)));
    },
  );

  app.post(
    '/v3/devices',
    {
      config: { refusals: { conflict: 'There is a device of this endpoint name already' } },
      schema: { tags, summary: 'Add a device', body: newDevice, response: { 201: device } },
    },
    async ({ body }, reply) => reply.code(201).send(toDevice(await directory.create(body))),
  );

  app.get(
    '/v3/devices/:id',
    { config, schema: { tags, summary: 'One device', params, response: { 200: device } } },
    async (request) => {
      await refresh();
      const row = await directory.get(request.params.id);
      return toDevice(row, lastSeen(row.id));
    },
  );

  app.put(
    '/v3/devices/:id',
    {
      config,
      schema: { tags, summary: 'Change a device', params, body: deviceChanges, response: { 200: device } },
    },
    async (request) => {
      const row = await directory.change(request.params.id, request.body);
      return toDevice(row, lastSeen(row.id));
    },
  );

  app.delete(
    '/v3/devices/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Remove a device; its certificate is no longer accepted',
        params,
        response: { 204: nothing },
      },
    },
    async (request, reply) => {
      const device = await directory.delete(request.params.id);
      disconnect(device, 'the device was removed from the directory');
      return reply.code(204).send(null);
    },
  );

  for (const verb of ['suspend', 'resume'] as const) {
    app.post(
      `/v3/devices/:id/${verb}`,
      {
        config,
        schema: {
          tags,
          summary:
            verb === 'suspend' ? 'Refuse the device until it is resumed' : 'Accept a suspended device again',
          params,
          body: reason,
          response: { 204: nothing },
        },
      },
      async (request, reply) => {
        const device = await directory.suspend(request.params.id, verb === 'suspend', request.body);
        if (verb === 'suspend') disconnect(device, 'the device was suspended');
        return reply.code(204).send(null);
      },
    );
  }

  app.get(
    '/v3/device-block-categories',
    {
      schema: {
        tags,
        summary: 'The categories of a suspension',
        response: {
          200: pageOf(z.object({ object: z.string(), reference: z.string(), description: z.string() })),
        },
      },
    },
    () => ({
      object: 'list' as const,
      limit: 50,
      after: null,
      order: 'ASC' as const,
      has_more: false,
      total_count: categories.length,
      data: categories.map((reference) => ({
        object: 'device-block-category',
        reference,
        description: reference.replaceAll('_', ' '),
      })),
    }),
  );
}
