// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { nothing } from '../../infra/http/declared-answers.ts';
import { date, type FilterFields, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import { endpointName } from '../devices/model.ts';
import type { EnrolmentCodes } from './codes.ts';
import type { EnrolmentCodeRow } from './table.ts';

const filters: FilterFields = { device_id: text, endpoint_name: text, created_at: date, claimed_at: date };

const enrolmentCode = z
  .object({
    object: z.literal('device-enrolment-code'),
    id: z.string(),
    account_id: z.string(),
    device_id: z.string(),
    endpoint_name: z.string(),
    code: z.string().nullable().describe('The code, in the answer to its creation, and never again'),
    created_at: z.string(),
    etag: z.string(),
    expires_at: z.string().nullable(),
    claimed_at: z.string().nullable(),
    rearmed_until: z
      .string()
      .nullable()
      .describe('Until then it is accepted once more, for another key; null when that was done'),
  })
  .meta({ id: 'DeviceEnrolmentCode' });

const params = z.object({ id: z.string() });
const noSuchCode = { not_found: 'There is no such enrolment code' };
const tags = ['enrolment'];
const path = '/v3/device-enrolment-codes';

export function enrolmentRoutes(app: App, { db, accountId }: Context, codes: EnrolmentCodes): void {
  const all = () => db.selectFrom('enrolment_codes').selectAll().where('account_id', '=', accountId);
  const find = async (id: string): Promise<EnrolmentCodeRow> => {
    const row = await all().where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw new HttpError('not_found', 'No such enrolment code');
    return row;
  };

  app.post(
    path,
    {
      schema: {
        tags,
        summary: 'Make a one-time enrolment code for an endpoint name, and its device when there is none',
        body: z.strictObject({
          endpoint_name: endpointName,
          expires_at: z.iso.datetime({ offset: true }).optional(),
        }),
        response: { 201: enrolmentCode },
      },
    },
    async ({ body }, reply) => {
      const expires = body.expires_at === undefined ? undefined : new Date(body.expires_at);
      const made = await codes.create(body.endpoint_name, expires);
      return reply.code(201).send(toEnrolmentCode(made.row, made.code));
    },
  );

  app.get(
    path,
    {
      schema: {
        tags,
        summary: 'List enrolment codes',
        querystring: listQuery(filters),
        response: { 200: pageOf(enrolmentCode) },
      },
    },
    ({ query }) => {
      let selected = all();
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      return fetchPage(selected, query, (row) => toEnrolmentCode(row));
    },
  );

  app.get(
    `${path}/:id`,
    {
      config: { refusals: noSuchCode },
      schema: { tags, summary: 'One enrolment code', params, response: { 200: enrolmentCode } },
    },
    async (request) => toEnrolmentCode(await find(request.params.id)),
  );

  app.post(
    `${path}/:id/rearm`,
    {
      config: {
        refusals: {
          ...noSuchCode,
          conflict:
            'The code was not used yet, its device is suspended, or the certificate that it gave was revoked',
        },
      },
      schema: {
        tags,
        summary: 'Accept a used enrolment code once more, for a device that lost its key',
        params,
        body: z.strictObject({
          expires_at: z.iso
            .datetime({ offset: true })
            .optional()
            .describe('At most in 30 days; in 24 hours when absent'),
        }),
        response: { 200: enrolmentCode },
      },
    },
    async ({ params: { id }, body: { expires_at } }) =>
      toEnrolmentCode(await codes.rearm(id, expires_at === undefined ? undefined : new Date(expires_at))),
  );

  app.delete(
    `${path}/:id`,
    {
      config: { refusals: noSuchCode },
      schema: {
        tags,
        summary: 'Withdraw an enrolment code; a certificate that it gave stays',
        params,
        response: { 204: nothing },
      },
    },
    async (request, reply) => {
      const { id } = await find(request.params.id);
      await db.deleteFrom('enrolment_codes').where('id', '=', id).execute();
      return reply.code(204).send(null);
    },
  );
}

function toEnrolmentCode(row: EnrolmentCodeRow, code?: string): z.infer<typeof enrolmentCode> {
  return {
    object: 'device-enrolment-code',
    id: row.id,
    account_id: row.account_id,
    device_id: row.device_id,
    endpoint_name: row.endpoint_name,
    code: code ?? null,
    created_at: row.created_at.toISOString(),
    etag: (row.claimed_at ?? row.created_at).toISOString(),
    expires_at: row.expires_at?.toISOString() ?? null,
    claimed_at: row.claimed_at?.toISOString() ?? null,
    rearmed_until: row.rearmed_until?.toISOString() ?? null,
  };
}
