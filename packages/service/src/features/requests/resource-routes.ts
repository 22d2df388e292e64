// SPDX-License-Identifier: Apache-2.0
import { formatPath, isWithin, type Node, type ObjectModel, type Path, parsePath } from '@mbl/lwm2m';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { nothing } from '../../infra/http/declared-answers.ts';
import { HttpError, invalid } from '../../infra/http/errors.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceDirectory } from '../devices/directory.ts';
import type { DeviceSession } from '../connections/session.ts';
import type { DeviceRequests } from './device-requests.ts';
import { clientGone, toHttpError } from './failure.ts';
import { resourceValue, toNode, toResourceValue, type WrittenValue, writtenValue } from './values.ts';

const params = z.object({ id: z.string(), '*': z.string() });
const deviceParams = z.object({ id: z.string() });
const values = z
  .object({
    object: z.literal('device-resources'),
    device_id: z.string(),
    path: z.string(),
    resources: z.array(resourceValue),
  })
  .meta({ id: 'DeviceResources' });

const manyValues = z
  .array(writtenValue.extend({ path: z.string() }))
  .min(1)
  .max(500);
const writeBody = z.union([
  z.strictObject(writtenValue.shape),
  z.strictObject({
    resources: manyValues,
    mode: z.enum(['update', 'replace']).default('update').describe('`replace` removes what is not named'),
  }),
]);
const postBody = z
  .union([
    z.strictObject({ arguments: z.string().max(1000).optional() }),
    z.strictObject({ resources: manyValues }),
  ])
  .nullish();

const tags = ['device resources'];
const url = '/v3/devices/:id/resources/*';
const compositeUrl = '/v3/devices/:id/resources';

/** The service's own, and what a device may answer in CoAP's words (RFC 7252 §5.9). */
const config = {
  refusals: {
    not_found: 'There is no such device, or the device has no such resource',
    conflict: 'The device is suspended',
    access_denied: 'The device refuses it',
    method_not_allowed: 'The resource does not have this operation',
    payload_too_large: 'The value is longer than the service or the device takes',
    unsupported_media_type: 'The body is not JSON, or the device does not take the format',
    too_many_requests: 'Too many requests wait for the device, or it was sent away meanwhile',
    bad_gateway: 'The device failed, or its answer could not be read',
    not_connected: 'The device is not connected, or says that it is busy',
    timeout: 'The device did not answer in time',
  },
};

export interface ResourceRouteParts {
  readonly directory: DeviceDirectory;
  readonly requests: DeviceRequests;
}

/** Reads, writes and executes resources of a connected device and answers when the device has. */
export function resourceRoutes(app: App, { directory, requests }: ResourceRouteParts): void {
  async function ask<T>(
    { params: { id } }: { params: { id: string } },
    { raw }: FastifyReply,
    send: (device: DeviceSession, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const device = await directory.get(id);
    if (device.lifecycle_status === 'blocked') throw new HttpError('conflict', 'The device is suspended');
    const gone = new AbortController();
    const closed = () => gone.abort(clientGone());
    raw.once('close', closed);
    if (raw.destroyed) closed();
    try {
      return await requests.run(id, send, { signal: gone.signal });
    } catch (error) {
      throw toHttpError(error);
    } finally {
      raw.off('close', closed);
    }
  }

  app.get(
    compositeUrl,
    {
      config,
      schema: {
        tags,
        summary: 'Read resources, instances and objects with one request (LwM2M 1.1)',
        params: deviceParams,
        querystring: z.object({
          paths: z
            .string()
            .max(2000)
            .describe('Paths with commas between; what a device does not have is left out'),
        }),
        response: { 200: values },
      },
    },
    async (request, reply) => {
      const paths = request.query.paths.split(',').map((path) => pathOf(path, 1, 4));
      const resources = await ask(request, reply, async (device, signal) => {
        const nodes = await device.readComposite(paths, { signal });
        return nodes.map((node) => toResourceValue(node, device.model));
      });
      return { object: 'device-resources' as const, device_id: request.params.id, path: '/', resources };
    },
  );

  app.put(
    compositeUrl,
    {
      config,
      schema: {
        tags,
        summary: 'Write resources of several objects, all or none (LwM2M 1.1)',
        params: deviceParams,
        body: z.strictObject({ resources: manyValues }),
        response: { 204: nothing },
      },
    },
    async (request, reply) => {
      const written = below([], request.body.resources);
      await ask(request, reply, (device, signal) =>
        device.writeComposite(toNodes(written, device.model), { signal }),
      );
      return reply.code(204).send(null);
    },
  );

  app.get(
    url,
    {
      config,
      schema: {
        tags,
        summary: 'Read a resource, an instance or an object',
        params,
        response: { 200: values },
      },
    },
    async (request, reply) => {
      const path = pathOf(request.params['*'], 1, 4);
      const resources = await ask(request, reply, async (device, signal) => {
        const nodes = await device.read(path, { signal });
        return nodes.map((node) => toResourceValue(node, device.model));
      });
      return {
        object: 'device-resources' as const,
        device_id: request.params.id,
        path: formatPath(path),
        resources,
      };
    },
  );

  app.put(
    url,
    {
      config,
      schema: {
        tags,
        summary: 'Write a resource, or several of an instance',
        params,
        body: writeBody,
        response: { 204: nothing },
      },
    },
    async (request, reply) => {
      const { body } = request;
      if ('value' in body) {
        const path = pathOf(request.params['*'], 3, 4);
        await ask(request, reply, (device, signal) =>
          device.write(path, [toNode({ path, ...body }, device.model)], { signal }),
        );
      } else {
        const path = pathOf(request.params['*'], 2, 3);
        const written = below(path, body.resources);
        const { mode } = body;
        await ask(request, reply, (device, signal) =>
          device.write(path, toNodes(written, device.model), { mode, signal }),
        );
      }
      return reply.code(204).send(null);
    },
  );

  app.post(
    url,
    {
      config,
      schema: {
        tags,
        summary: 'Execute a resource, or create an instance of an object',
        params,
        body: postBody,
        response: {
          201: z.object({
            object: z.literal('device-resource-instance'),
            device_id: z.string(),
            path: z.string(),
          }),
          204: nothing,
        },
      },
    },
    async (request, reply) => {
      const body = request.body ?? {};
      if ('resources' in body) {
        const [objectId = 0] = pathOf(request.params['*'], 1, 1);
        const written = below([objectId], body.resources);
        const created = await ask(request, reply, (device, signal) =>
          device.create(objectId, toNodes(written, device.model), { signal }),
        );
        const instance = {
          object: 'device-resource-instance' as const,
          device_id: request.params.id,
          path: formatPath(created),
        };
        return reply.code(201).send(instance);
      }
      const path = pathOf(request.params['*'], 3, 3);
      await ask(request, reply, (device, signal) => device.execute(path, body.arguments, { signal }));
      return reply.code(204).send(null);
    },
  );

  app.delete(
    url,
    { config, schema: { tags, summary: 'Delete an instance', params, response: { 204: nothing } } },
    async (request, reply) => {
      const path = pathOf(request.params['*'], 2, 4);
      await ask(request, reply, (device, signal) => device.delete(path, { signal }));
      return reply.code(204).send(null);
    },
  );
}

function below(base: Path, written: z.infer<typeof manyValues>): WrittenValue[] {
  return written.map((one) => {
    const path = pathOf(one.path, 3, 4);
    if (!isWithin(path, base)) {
      throw invalid([{ name: 'resources', message: `${formatPath(path)} is not below ${formatPath(base)}` }]);
    }
    return { ...one, path };
  });
}

function toNodes(written: readonly WrittenValue[], model: ObjectModel): Node[] {
  return written.map((one) => toNode(one, model));
}

function pathOf(text: string, shortest: number, longest: number): Path {
  try {
    const path = parsePath(text);
    if (path.length >= shortest && path.length <= longest) return path;
  } catch {
    // Said below.
  }
  const wanted = ['/object', '/instance', '/resource', '/resource instance'].slice(0, longest).join('');
  throw invalid([{ name: 'path', message: `Not a path of the form ${wanted}, numbers all` }]);
}
