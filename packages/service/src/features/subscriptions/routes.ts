// SPDX-License-Identifier: Apache-2.0
import { formatPath, parsePath } from '@mbl/lwm2m';
import { z } from 'zod';
import { nothing, plainText } from '../../infra/http/declared-answers.ts';
import { HttpError } from '../../infra/http/errors.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceDirectory } from '../devices/directory.ts';
import type { Channels } from '../notifications/channels.ts';
import { channelName } from '../notifications/routes.ts';
import type { Subscriptions } from './subscriptions.ts';

const params = z.object({ id: z.string() });
const resourceParams = z.object({ id: z.string(), '*': z.string() });
const config = { refusals: { not_found: 'DEVICE_NOT_FOUND' } };
const malformed = 'MALFORMED_URI, or what is not valid';
const tags = ['subscriptions'];

/** Pelion's limits. */
const presubscriptions = z
  .array(
    z.strictObject({
      'endpoint-name': z.string().max(64).optional(),
      'endpoint-type': z.string().max(64).optional(),
      'resource-path': z
        .array(z.string().regex(/^\/[^\s]{0,127}$/))
        .max(256)
        .optional(),
    }),
  )
  .max(1024);

export function subscriptionRoutes(
  app: App,
  directory: DeviceDirectory,
  subscriptions: Subscriptions,
  channels: Channels,
): void {
  const known = async (id: string): Promise<string> => {
    const device = await directory.find(id);
    if (device === undefined) throw new HttpError('not_found', 'DEVICE_NOT_FOUND');
    return device.id;
  };

  app.get(
    '/v2/subscriptions',
    { schema: { tags, summary: 'The pre-subscriptions', response: { 200: presubscriptions } } },
    () => subscriptions.presubscriptions(),
  );

  app.put(
    '/v2/subscriptions',
    {
      schema: {
        tags,
        summary: 'Replace the pre-subscriptions: they hold from the next registration',
        body: presubscriptions,
        response: { 204: nothing },
      },
    },
    async (request, reply) => {
      await subscriptions.setPresubscriptions(request.body);
      return reply.code(204).send(undefined);
    },
  );

  app.delete(
    '/v2/subscriptions',
    { schema: { tags, summary: 'Remove the pre-subscriptions', response: { 204: nothing } } },
    async (_request, reply) => {
      await subscriptions.setPresubscriptions([]);
      return reply.code(204).send(undefined);
    },
  );

  app.get(
    '/v2/subscriptions/:id',
    {
      config,
      schema: {
        tags,
        summary: 'The subscriptions of a device, a path a line',
        params,
        response: { 200: plainText('text/uri-list', 'A path a line') },
      },
    },
    async (request, reply) => {
      const paths = await subscriptions.list(await known(request.params.id));
      return reply.type('text/uri-list').send(paths.map((path) => `${path}\n`).join(''));
    },
  );

  app.delete(
    '/v2/subscriptions/:id',
    {
      config,
      schema: { tags, summary: 'End the subscriptions of a device', params, response: { 204: nothing } },
    },
    async (request, reply) => {
      const id = await known(request.params.id);
      for (const path of await subscriptions.list(id)) await subscriptions.remove(id, path);
      return reply.code(204).send(undefined);
    },
  );

  app.get(
    '/v2/subscriptions/:id/*',
    {
      config: {
        refusals: { not_found: 'DEVICE_NOT_FOUND, SUBSCRIPTION_NOT_FOUND', validation_error: malformed },
      },
      schema: {
        tags,
        summary: 'Whether a resource is subscribed',
        params: resourceParams,
        response: { 200: nothing },
      },
    },
    async (request, reply) => {
      const id = await known(request.params.id);
      if (!(await subscriptions.has(id, pathOf(request.params['*'])))) {
        throw new HttpError('not_found', 'SUBSCRIPTION_NOT_FOUND');
      }
      return reply.code(200).send(undefined);
    },
  );

  app.put(
    '/v2/subscriptions/:id/*',
    {
      config: { refusals: { ...config.refusals, validation_error: `CHANNEL_NOT_FOUND, ${malformed}` } },
      schema: {
        tags,
        summary: 'Subscribe to a resource: 202 when new, 200 when it was subscribed',
        params: resourceParams,
        querystring: z.object({
          channel: channelName.optional().describe('The named channel with which the subscription ends'),
        }),
        response: { 200: nothing, 202: z.object({ 'async-response-id': z.string() }) },
      },
    },
    async (request, reply) => {
      const id = await known(request.params.id);
      const { channel: name } = request.query;
      const channel = name === undefined ? undefined : channels.get(request.apiKeyId, name);
      if (name !== undefined && channel === undefined)
        throw new HttpError('validation_error', 'CHANNEL_NOT_FOUND');
      const asyncId = await subscriptions.add(id, pathOf(request.params['*']), channel?.key);
      // It may have ended in this moment.
      if (channel?.ended) await subscriptions.release(channel.key);
      if (asyncId === undefined) return reply.code(200).send(undefined);
      return reply.code(202).send({ 'async-response-id': asyncId });
    },
  );

  app.delete(
    '/v2/subscriptions/:id/*',
    {
      config: { refusals: { ...config.refusals, validation_error: malformed } },
      schema: { tags, summary: 'End a subscription', params: resourceParams, response: { 204: nothing } },
    },
    async (request, reply) => {
      await subscriptions.remove(await known(request.params.id), pathOf(request.params['*']));
      return reply.code(204).send(undefined);
    },
  );
}

function pathOf(text: string): string {
  try {
    const path = parsePath(text);
    if (path.length > 0) return formatPath(path);
  } catch {
    // Said below.
  }
  throw new HttpError('validation_error', 'MALFORMED_URI');
}
