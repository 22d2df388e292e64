// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import { nothing } from '../../infra/http/declared-answers.ts';
import { HttpError } from '../../infra/http/errors.ts';
import type { App } from '../../infra/http/server.ts';
import type { Channel } from './channel.ts';
import type { Channels } from './channels.ts';

/** How long a long poll is held open when nothing happens. */
const pollMs = 25_000;

/** Name of a channel beside the key's own. */
export const channelName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const channelQuery = z.object({ channel: channelName.optional() });

/** Pelion's additions to messages: none of them is served, and none asked for by most clients. */
const never = z.literal(false).optional();
const serialization = z.strictObject({
  type: z.literal('v2').optional(),
  max_chunk_size: z.number().int().min(100).max(20_000).optional(),
  cfg: z
    .strictObject({
      deregistrations_as_object: never,
      include_uid: never,
      include_timestamp: never,
      include_original_ep: never,
    })
    .optional(),
});
/** Not looked into a second time: what it holds is made by the service. */
const notificationMessage = z
  .looseObject(
    Object.fromEntries(
      [
        'notifications',
        'registrations',
        'reg-updates',
        'de-registrations',
        'registrations-expired',
        'async-responses',
        'device-events',
      ].map((name) => [name, z.array(z.unknown()).optional()]),
    ),
  )
  .meta({ id: 'NotificationMessage' });
const websocketChannel = z.object({
  status: z.enum(['connected', 'disconnected']),
  queue_size: z.number().int(),
});
const notFound = { not_found: 'CHANNEL_NOT_FOUND' };
/** A channel that would be made. */
const opening = { conflict: 'CHANNEL_OF_ANOTHER_KIND_EXISTS', too_many_requests: 'TOO_MANY_CHANNELS' };
const tags = ['notifications'];

export interface NotificationParts {
  readonly channels: Channels;
  readonly connected: (channel: Channel) => boolean;
  readonly pollMs?: number | undefined;
}

export function notificationRoutes(
  app: App,
  { channels, connected, pollMs: hold = pollMs }: NotificationParts,
): void {
  const polling = new Set<Channel>();
  const state = (channel: Channel) => ({
    status: connected(channel) ? ('connected' as const) : ('disconnected' as const),
    queue_size: channel.length,
  });

  app.get(
    '/v2/notification/pull',
    {
      config: {
        refusals: {
          conflict: `${opening.conflict}, LONG_POLL_IN_PROGRESS`,
          too_many_requests: opening.too_many_requests,
          gone: 'CHANNEL_DELETED',
        },
      },
      schema: {
        tags,
        summary: 'Wait for events and take them (long poll)',
        querystring: channelQuery,
        response: { 200: notificationMessage, 204: nothing.describe('Nothing happened') },
      },
    },
    async (request, reply) => {
      const channel = channels.open(request.apiKeyId, 'long-poll', request.query.channel);
      if (polling.has(channel)) throw new HttpError('conflict', 'LONG_POLL_IN_PROGRESS');
      polling.add(channel);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      try {
        channels.touch(channel);
        await channel.ready(AbortSignal.any([gone.signal, AbortSignal.timeout(hold)]));
      } finally {
        polling.delete(channel);
      }
      channels.touch(channel);
      if (channel.ended) throw new HttpError('gone', 'CHANNEL_DELETED');
      // A client that hung up keeps its events for the next poll.
      const message = gone.signal.aborted ? undefined : channel.take();
      return message === undefined ? reply.code(204).send(undefined) : reply.code(200).send({ ...message });
    },
  );

  app.delete(
    '/v2/notification/pull',
    {
      schema: {
        tags,
        summary: 'End the long poll channel',
        querystring: channelQuery,
        response: { 200: nothing },
      },
    },
    async (request, reply) => {
      channels.close(request.apiKeyId, request.query.channel);
      return reply.code(200).send(undefined);
    },
  );

  app.put(
    '/v2/notification/websocket',
    {
      config: { refusals: opening },
      schema: {
        tags,
        summary: 'Make the WebSocket channel of this API key',
        body: z.strictObject({ serialization: serialization.optional() }).nullish(),
        response: { 200: websocketChannel, 201: websocketChannel },
      },
    },
    async (request, reply) => {
      const existing = channels.get(request.apiKeyId);
      const chunk = request.body?.serialization?.max_chunk_size;
      const channel = channels.open(request.apiKeyId, 'websocket', undefined, chunk);
      return reply.code(existing === undefined ? 201 : 200).send(state(channel));
    },
  );

  app.get(
    '/v2/notification/websocket',
    {
      config: { refusals: notFound },
      schema: { tags, summary: 'The WebSocket channel of this API key', response: { 200: websocketChannel } },
    },
    (request) => {
      const channel = channels.get(request.apiKeyId);
      if (channel?.kind !== 'websocket') throw new HttpError('not_found', 'CHANNEL_NOT_FOUND');
      return state(channel);
    },
  );

  app.delete(
    '/v2/notification/websocket',
    {
      config: { refusals: notFound },
      schema: { tags, summary: 'End the WebSocket channel of this API key', response: { 204: nothing } },
    },
    async (request, reply) => {
      if (channels.get(request.apiKeyId)?.kind !== 'websocket')
        throw new HttpError('not_found', 'CHANNEL_NOT_FOUND');
      channels.close(request.apiKeyId);
      return reply.code(204).send(undefined);
    },
  );

  app.get(
    '/v2/notification/channel',
    {
      config: { refusals: notFound },
      schema: {
        tags,
        summary: 'Which channel this API key has',
        response: { 200: z.object({ delivery_mechanism: z.enum(['LONG_POLLING', 'WEB_SOCKET']) }) },
      },
    },
    (request) => {
      const kind = channels.get(request.apiKeyId)?.kind;
      if (kind === undefined) throw new HttpError('not_found', 'CHANNEL_NOT_FOUND');
      return {
        delivery_mechanism: kind === 'websocket' ? ('WEB_SOCKET' as const) : ('LONG_POLLING' as const),
      };
    },
  );
}
