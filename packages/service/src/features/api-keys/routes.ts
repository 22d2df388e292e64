// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { HttpError, invalid } from '../../infra/http/errors.ts';
import { type FilterFields, parseFilters, text } from '../../infra/http/filters.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import { nothing } from '../../infra/http/declared-answers.ts';
import type { App } from '../../infra/http/server.ts';
import type { ApiKeys } from './keys.ts';
import type { ApiKeyRow } from './table.ts';

const filters: FilterFields = { name: text, status: text };

const apiKey = z
  .object({
    object: z.literal('api-key'),
    id: z.string(),
    account_id: z.string(),
    name: z.string(),
    key: z.string().describe('The whole key in the answer to its creation, and never again'),
    status: z.enum(['ACTIVE', 'INACTIVE']),
    groups: z.array(z.string()).describe('None: every key may do everything'),
    created_at: z.string(),
    creation_time: z.number().int().describe('Unix time in ms'),
    updated_at: z.string(),
    etag: z.string(),
    last_login_time: z.number().int().describe('Unix time in ms; 0 when never used'),
  })
  .meta({ id: 'ApiKey' });

const status = z.enum(['ACTIVE', 'INACTIVE']);
const name = z.string().min(1).max(100);
/** Clients send the empty list that they got. */
const groups = z.array(z.string()).max(0, 'There are no groups').optional();
const changes = z.strictObject({ name: name.optional(), status: status.optional(), groups });
const tags = ['api keys'];
const params = z.object({ id: z.string() });
const config = { refusals: { not_found: 'There is no such API key' } };

/** `closeChannels` ends what an API key opened while it was good. */
export function apiKeyRoutes(
  app: App,
  { db, accountId, now }: Context,
  keys: ApiKeys,
  closeChannels: (id: string) => void,
): void {
  const all = () => db.selectFrom('api_keys').selectAll().where('account_id', '=', accountId);
  const find = async (id: string): Promise<ApiKeyRow> => {
    const row = await all().where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw new HttpError('not_found', 'No such API key');
    return row;
  };

  const change = async (id: string, { name, status }: z.infer<typeof changes>) => {
    await find(id);
    await db
      .updateTable('api_keys')
      .set({
        updated_at: new Date(now()),
        ...(name === undefined ? {} : { name }),
        ...(status === undefined ? {} : { status }),
      })
      .where('id', '=', id)
      .execute();
    if (status === 'INACTIVE') closeChannels(id);
    return toApiKey(await find(id));
  };

  app.get(
    '/v3/api-keys',
    {
      schema: {
        tags,
        summary: 'List API keys',
        querystring: listQuery(filters),
        response: { 200: pageOf(apiKey) },
      },
    },
    ({ query }) => {
      let selected = all();
      for (const condition of parseFilters(query, filters)) selected = selected.where(condition);
      return fetchPage(selected, query, (row) => toApiKey(row));
    },
  );

  app.post(
    '/v3/api-keys',
    {
      schema: {
        tags,
        summary: 'Create an API key',
        body: z.strictObject({ name, status: status.optional(), groups }),
        response: { 201: apiKey },
      },
    },
    async ({ body }, reply) => {
      const made = await keys.create(body.name, body.status);
      return reply.code(201).send(toApiKey(made.row, made.key));
    },
  );

  app.get(
    '/v3/api-keys/me',
    { config, schema: { tags, summary: 'The API key of this request', response: { 200: apiKey } } },
    async (request) => toApiKey(await find(request.apiKeyId)),
  );

  app.put(
    '/v3/api-keys/me',
    {
      config,
      schema: {
        tags,
        summary: 'Rename the API key of this request',
        body: changes,
        response: { 200: apiKey },
      },
    },
    async ({ apiKeyId, body }) => {
      if (body.status === 'INACTIVE')
        throw invalid([{ name: 'status', message: 'By its id only: nothing is let in by it after that' }]);
      return await change(apiKeyId, body);
    },
  );

  app.get(
    '/v3/api-keys/:id',
    { config, schema: { tags, summary: 'One API key', params, response: { 200: apiKey } } },
    async (request) => toApiKey(await find(request.params.id)),
  );

  app.put(
    '/v3/api-keys/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Rename, disable or enable an API key',
        params,
        body: changes,
        response: { 200: apiKey },
      },
    },
    async (request) => await change(request.params.id, request.body),
  );

  app.delete(
    '/v3/api-keys/:id',
    { config, schema: { tags, summary: 'Delete an API key', params, response: { 204: nothing } } },
    async (request, reply) => {
      const { id } = await find(request.params.id);
      await db.deleteFrom('api_keys').where('id', '=', id).execute();
      closeChannels(id);
      return reply.code(204).send(null);
    },
  );
}

function toApiKey(row: ApiKeyRow, key = 'ak_1****'): z.infer<typeof apiKey> {
  return {
    object: 'api-key',
    id: row.id,
    account_id: row.account_id,
    name: row.name,
    key,
    status: row.status,
    groups: [],
    created_at: row.created_at.toISOString(),
    creation_time: row.created_at.getTime(),
    updated_at: row.updated_at.toISOString(),
    etag: row.updated_at.toISOString(),
    last_login_time: row.last_used_at?.getTime() ?? 0,
  };
}
