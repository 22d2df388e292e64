// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { date, type FilterFields, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import type { DenialRow } from './table.ts';

const filters: FilterFields = {
  endpoint_name: text,
  trusted_certificate_id: { ...text, column: 'fingerprint' },
  device_id: text,
  reason: text,
  door: text,
  remote_address: text,
  created_at: date,
};

const denial = z
  .object({
    object: z.literal('denied_device'),
    id: z.string(),
    account_id: z.string(),
    endpoint_name: z
      .string()
      .describe('The name that the peer gave itself; empty when none or not a valid one'),
    device_id: z.string().nullable().describe('The device that has this name, if there is one'),
    trusted_certificate_id: z.string(),
    door: z.enum(['est', 'lwm2m']),
    reason: z.string(),
    description: z.string(),
    fingerprint: z.string(),
    remote_address: z.string(),
    times: z.number().int().describe('How often within the minute'),
    created_at: z.string(),
    last_at: z.string(),
  })
  .meta({ id: 'Denial' });

const tags = ['denials'];

export function denialRoutes(app: App, { db, accountId }: Context): void {
  const all = () => db.selectFrom('denials').selectAll().where('account_id', '=', accountId);

  app.get(
    '/v3/device-enrollment-denials',
    {
      schema: {
        tags,
        summary: 'List who was refused, at enrolment or connection',
        querystring: listQuery(filters),
        response: { 200: pageOf(denial) },
      },
    },
    ({ query }) => {
      let selected = all();
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      return fetchPage(selected, query, toDenial);
    },
  );

  app.get(
    '/v3/device-enrollment-denials/:id',
    {
      config: { refusals: { not_found: 'There is no such denial' } },
      schema: {
        tags,
        summary: 'One refusal',
        params: z.object({ id: z.string() }),
        response: { 200: denial },
      },
    },
    async ({ params }) => {
      const row = await all().where('id', '=', params.id).executeTakeFirst();
      if (row === undefined) throw new HttpError('not_found', 'No such denial');
      return toDenial(row);
    },
  );
}

function toDenial(row: DenialRow): z.infer<typeof denial> {
  return {
    object: 'denied_device',
    id: row.id,
    account_id: row.account_id,
    endpoint_name: row.endpoint_name,
    device_id: row.device_id,
    trusted_certificate_id: row.fingerprint,
    door: row.door,
    reason: row.reason,
    description: row.description,
    fingerprint: row.fingerprint,
    remote_address: row.remote_address,
    times: row.times,
    created_at: row.created_at.toISOString(),
    last_at: row.last_at.toISOString(),
  };
}
