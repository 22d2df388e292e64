// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { nothing } from '../../infra/http/declared-answers.ts';
import { date, type FilterFields, integer, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import { withGroups } from '../devices/directory.ts';
import { customAttributes, device, deviceFilters, toDevice } from '../devices/model.ts';
import type { DeviceGroups } from './groups.ts';
import type { DeviceGroupRow } from './table.ts';

const group = z
  .object({
    object: z.literal('device-group'),
    id: z.string(),
    name: z.string(),
    description: z.string(),
    custom_attributes: z.record(z.string(), z.string()),
    devices_count: z.number().int(),
    created_at: z.string(),
    updated_at: z.string(),
    etag: z.string(),
  })
  .meta({ id: 'DeviceGroup' });

export type DeviceGroup = z.infer<typeof group>;

const filters: FilterFields = {
  id: text,
  name: text,
  devices_count: { ...integer, operators: [...integer.operators, 'lte', 'gte'] },
  created_at: date,
  updated_at: date,
};

const name = z.string().min(1).max(128);
const rest = {
  description: z.string().max(1024).optional(),
  custom_attributes: customAttributes.optional(),
};
const params = z.object({ id: z.string() });
const tags = ['device groups'];
const unknown = 'There is no such device group';
const config = { refusals: { not_found: unknown } };
const taken = 'There is a device group of this name already';

export interface DeviceGroupRouteParts {
  readonly groups: DeviceGroups;
  /** Unix time in ms at which a connected device was last heard. */
  readonly lastSeen: (deviceId: string) => number | undefined;
}

/** Pelion's device groups. */
export function deviceGroupRoutes(app: App, { db, accountId }: Context, parts: DeviceGroupRouteParts): void {
  const { groups, lastSeen } = parts;

  app.get(
    '/v3/device-groups',
    {
      schema: {
        tags,
        summary: 'List device groups',
        querystring: listQuery(filters),
        response: { 200: pageOf(group) },
      },
    },
    ({ query }) => {
      let selected = db.selectFrom('counted_device_groups').selectAll().where('account_id', '=', accountId);
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      return fetchPage(selected, query, toGroup);
    },
  );

  app.post(
    '/v3/device-groups',
    {
      config: { refusals: { conflict: taken } },
      schema: {
        tags,
        summary: 'Make a device group',
        body: z.strictObject({ name, ...rest }),
        response: { 201: group },
      },
    },
    async ({ body }, reply) => reply.code(201).send(toGroup(await groups.create(body))),
  );

  app.get(
    '/v3/device-groups/:id',
    { config, schema: { tags, summary: 'One device group', params, response: { 200: group } } },
    async (request) => toGroup(await groups.get(request.params.id)),
  );

  app.put(
    '/v3/device-groups/:id',
    {
      config: { refusals: { not_found: unknown, conflict: taken } },
      schema: {
        tags,
        summary: 'Change a device group',
        params,
        body: z.strictObject({ name: name.optional(), ...rest }),
        response: { 200: group },
      },
    },
    async (request) => toGroup(await groups.change(request.params.id, request.body)),
  );

  app.delete(
    '/v3/device-groups/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Remove a device group; its devices stay',
        params,
        response: { 204: nothing },
      },
    },
    async (request, reply) => {
      await groups.delete(request.params.id);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/v3/device-groups/:id/devices',
    {
      config,
      schema: {
        tags,
        summary: 'List the devices of a group',
        params,
        querystring: listQuery(deviceFilters),
        response: { 200: pageOf(device) },
      },
    },
    async ({ params: { id }, query }) => {
      await groups.get(id);
      let selected = withGroups(db)
        .where('account_id', '=', accountId)
        .where(
          sql<boolean>`devices.id in (select device_id from device_group_members where group_id = ${id})`,
        );
      for (const condition of parseFilters(query, deviceFilters)) selected = selected.where(condition);
      return fetchPage(selected, query, (row) => toDevice(row, lastSeen(row.id)));
    },
  );

  for (const direction of ['add', 'remove'] as const) {
    app.post(
      `/v3/device-groups/:id/devices/${direction}`,
      {
        config: { refusals: { not_found: 'There is no such device group, or no such device' } },
        schema: {
          tags,
          summary: direction === 'add' ? 'Put a device into a group' : 'Take a device out of a group',
          params,
          body: z.strictObject({ device_id: z.string().max(64) }),
          response: { 204: nothing },
        },
      },
      async (request, reply) => {
        await groups.move(request.params.id, request.body.device_id, direction);
        return reply.code(204).send(null);
      },
    );
  }
}

function toGroup(row: DeviceGroupRow): DeviceGroup {
  return {
    object: 'device-group',
    id: row.id,
    name: row.name,
    description: row.description,
    custom_attributes: row.custom_attributes,
    devices_count: row.devices_count,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    etag: row.updated_at.toISOString(),
  };
}
