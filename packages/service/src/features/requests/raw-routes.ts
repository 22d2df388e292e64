// SPDX-License-Identifier: Apache-2.0
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { nothing } from '../../infra/http/declared-answers.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { fetchPage, paging } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceDirectory } from '../devices/directory.ts';
import type { DeviceRow } from '../devices/table.ts';
import type { Publish } from '../notifications/message.ts';
import type { DeviceRequests, RequestPolicy } from './device-requests.ts';
import { toContentFormat } from './media-types.ts';
import { answered, failed, type ParsedRequest, parseRawRequest, sendRaw } from './raw-request.ts';

export interface RawRequestParts {
  readonly directory: DeviceDirectory;
  readonly requests: DeviceRequests;
  readonly publish: Publish;
}

/** Pelion: how long a request may wait, two hours when not said, three days for a device in queue mode. */
const defaultExpiryMs = 2 * 3_600_000;
const queueModeExpiryMs = 3 * 86_400_000;

const params = z.object({ id: z.string() });
const resourceParams = z.object({ id: z.string(), '*': z.string() });
const tags = ['device requests'];
const noSuchDevice = 'DEVICE_NOT_FOUND';
/** What a request that goes to a device may be refused for. */
const refusals = {
  not_found: `${noSuchDevice}, RESOURCE_NOT_FOUND`,
  validation_error:
    'DEVICE_BLOCKED, DEVICE_NOT_CONNECTED, QUEUE_IS_FULL, METHOD_NOT_ALLOWED, MALFORMED_URI, MALFORMED_PAYLOAD, UNKNOWN_MEDIA_TYPE with the type, or what is not valid',
};
const asyncId = z.object({ 'async-response-id': z.string() });

const endpoint = z.object({
  name: z.string(),
  type: z.string(),
  status: z.string(),
  q: z.boolean(),
  'original-ep': z.string(),
});

/** Requests whose answer comes on the notification channel, and the resources of registered devices (Pelion's /v2). */
export function rawRequestRoutes(app: App, context: Context, parts: RawRequestParts): void {
  const { directory, requests, publish } = parts;

  async function registered(id: string): Promise<DeviceRow> {
    const device = await directory.find(id);
    if (device === undefined) throw new HttpError('not_found', 'DEVICE_NOT_FOUND');
    if (device.lifecycle_status === 'blocked') throw new HttpError('validation_error', 'DEVICE_BLOCKED');
    if (device.state !== 'registered') throw new HttpError('validation_error', 'DEVICE_NOT_CONNECTED');
    return device;
  }

  function send(
    device: DeviceRow,
    id: string,
    request: ParsedRequest,
    policy: RequestPolicy,
    silent = false,
  ): void {
    const waits = queueMode(device);
    const expiresInMs = policy.expiresInMs ?? (waits ? queueModeExpiryMs : defaultExpiryMs);
    try {
      requests
        .run(device.id, (target, signal) => sendRaw(request, target, signal), {
          ...policy,
          expiresInMs,
          wait: waits,
        })
        .then((response) => answered(id, response))
        .catch((error: unknown) => failed(id, error))
        .then((response) => {
          if (!silent) publish({ 'async-responses': [response] });
        })
        .catch((error: unknown) => context.log.error('An answer could not be published', { error }));
    } catch (error) {
      if (error instanceof HttpError) throw new HttpError('validation_error', error.message, [], error);
      throw error;
    }
  }

  app.post(
    '/v2/device-requests/:id',
    {
      config: { refusals },
      schema: {
        tags,
        summary: 'Send a request to a device; its answer comes on the notification channel',
        params,
        querystring: z.object({
          'async-id': z.string().min(1).max(128),
          retry: z.coerce.number().int().min(0).max(10).optional(),
          'expiry-seconds': z.coerce.number().int().min(60).max(2_592_000).optional(),
        }),
        body: z.object({
          method: z.string(),
          uri: z.string(),
          'content-type': z.string().optional(),
          accept: z.string().optional(),
          'payload-b64': z.string().optional(),
        }),
        response: { 202: nothing },
      },
    },
    async (request, reply) => {
      const parsed = parseRawRequest(request.body);
      const device = await registered(request.params.id);
      const { retry, 'expiry-seconds': expiry } = request.query;
      const policy = {
        retries: retry ?? (queueMode(device) ? 2 : 0),
        ...(expiry === undefined ? {} : { expiresInMs: expiry * 1000 }),
      };
      send(device, request.query['async-id'], parsed, policy);
      return reply.code(202).send(undefined);
    },
  );

  app.get(
    '/v2/endpoints',
    {
      schema: {
        tags,
        summary:
          'List registered devices, by their ids; where there are more, the header `Link` has the next page',
        querystring: z.object({
          type: z.string().optional(),
          limit: paging.limit.describe('Page size, 2 to 1000; 1000 when absent'),
          after: paging.after,
        }),
        response: { 200: z.array(endpoint) },
      },
    },
    async ({ query: { type, limit = 1000, after } }, reply) => {
      let selected = context.db
        .selectFrom('devices')
        .select(['id', 'endpoint_name', 'endpoint_type', 'online', 'binding'])
        .where('account_id', '=', context.accountId)
        .where('state', '=', 'registered');
      if (type !== undefined) selected = selected.where('endpoint_type', '=', type);
      const { data, has_more } = await fetchPage(selected, { limit, after }, (row) => ({
        name: row.id,
        type: row.endpoint_type ?? 'default',
        status: row.online ? 'ACTIVE' : 'STALE',
        q: queueMode(row),
        'original-ep': row.endpoint_name ?? '',
      }));
      if (has_more) {
        const next = new URLSearchParams({ limit: String(limit), after: data.at(-1)?.name ?? '' });
        if (type !== undefined) next.set('type', type);
        // RFC 8288: a list that is an array has no place for it.
        void reply.header('link', `</v2/endpoints?${next.toString()}>; rel="next"`);
      }
      return data;
    },
  );

  app.get(
    '/v2/endpoints/:id',
    {
      config: { refusals: { not_found: noSuchDevice } },
      schema: {
        tags,
        summary: 'The resources that a device registered',
        params,
        response: {
          200: z.array(z.object({ uri: z.string(), rt: z.string(), type: z.string(), obs: z.boolean() })),
        },
      },
    },
    async (request) => {
      const device = await directory.find(request.params.id);
      if (device?.state !== 'registered') throw new HttpError('not_found', 'DEVICE_NOT_FOUND');
      return device.resources.map((one) => ({
        uri: one.path,
        rt: one.rt ?? '',
        type: one.ct ?? '',
        obs: one.obs ?? false,
      }));
    },
  );

  const byResource = async (
    request: FastifyRequest & {
      params: z.infer<typeof resourceParams>;
      query: { noResp?: boolean | undefined; cacheOnly?: boolean | undefined };
    },
    reply: FastifyReply,
  ) => {
    const body = request.body instanceof Buffer ? request.body : undefined;
    const parsed = parseRawRequest({
      method: request.method,
      uri: `/${request.params['*']}`,
      'content-type': body === undefined ? undefined : request.headers['content-type'],
      accept: acceptable(request.headers.accept),
      'payload-b64': body?.toString('base64'),
    });
    const device = await registered(request.params.id);
    if (request.query.cacheOnly === true) throw new HttpError('not_found', 'RESOURCE_NOT_FOUND');
    const id = `${context.newId()}@${device.id}`;
    send(device, id, parsed, {}, request.query.noResp === true);
    if (request.query.noResp === true) return reply.code(204).send(undefined);
    return reply.code(202).send({ 'async-response-id': id });
  };

  void app.register(async (plain) => {
    const scope = plain.withTypeProvider<ZodTypeProvider>() as App;
    // The device gets the bytes as they came, JSON too. Some clients name that type on requests without a body.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
      done(null, body.length === 0 ? undefined : body),
    );
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    scope.route({
      method: ['GET', 'PUT', 'POST', 'DELETE'],
      url: '/v2/endpoints/:id/*',
      config: { refusals },
      schema: {
        tags,
        summary:
          'Send a request to a resource; its answer comes on the notification channel (deprecated by Pelion)',
        params: resourceParams,
        querystring: z.strictObject({
          noResp: z.stringbool().optional(),
          cacheOnly: z.stringbool().optional().describe('Nothing is kept: with `true` nothing is found'),
        }),
        response: { 202: asyncId, 204: nothing },
      },
      handler: byResource,
    });
  });
}

/** What of an Accept list goes to the device: the first type that has a content format; nothing when anything will do. */
function acceptable(header: string | undefined): string | undefined {
  const types = (header ?? '').split(',').map((one) => one.split(';', 1)[0]?.trim() ?? '');
  return (
    types.find((one) => toContentFormat(one) !== undefined) ?? (types.includes('*/*') ? undefined : header)
  );
}

/** The client sleeps between its messages (LwM2M Core 1.1 §6.5): it is away most of the time, and comes back. */
function queueMode({ binding }: Pick<DeviceRow, 'binding'>): boolean {
  return binding?.includes('Q') ?? false;
}
