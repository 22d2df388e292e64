// SPDX-License-Identifier: Apache-2.0
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { z } from 'zod';
import { HttpError, type HttpErrorType, statusOfType } from './errors.ts';

/**
 * What a route refuses by its own doing: each type with when, or under /v2 with the names that are the whole answer there
 * (`DEVICE_NOT_FOUND, SUBSCRIPTION_NOT_FOUND`). What follows from the route's shape is added by itself.
 */
export type Refusals = Readonly<Partial<Record<HttpErrorType, string>>>;

declare module 'fastify' {
  interface FastifyContextConfig {
    refusals?: Refusals;
  }
}

/** An answer without a body, for the published description of a route. */
export const nothing = z.null().describe('Done; no body') as unknown as z.ZodType<null | undefined>;

/** An answer that is no JSON, for the published description of a route. */
export function plainText(type: string, description: string) {
  return { description, content: { [type]: { schema: z.string() } } };
}

const fieldError = z.object({ name: z.string(), message: z.string() });

/** Pelion's error object, of one type. */
function errorObject(type: HttpErrorType, description: string) {
  return z
    .object({
      object: z.literal('error'),
      code: z.literal(statusOfType(type)),
      type: z.literal(type),
      message: z.string(),
      request_id: z.string(),
      fields: z.array(fieldError),
    })
    .describe(description);
}

/** Where an error is its name in plain text; elsewhere it is an object. */
export function answersInText(url: string): boolean {
  return url.startsWith('/v2/');
}

/** Completes the declaration of a route with its refusals, so that its published description and its answers are from one place. */
export function declareRefusals(route: RouteOptions): void {
  const { schema = {}, config = {} } = route;
  const all = { ...impliedBy(route), ...config.refusals };
  const refused = Object.entries(all).map(([type, when]) => [
    statusOfType(type as HttpErrorType),
    answersInText(route.url)
      ? plainText('text/plain', when)
      : errorObject(type as HttpErrorType, `\`${type}\`: ${when}`),
  ]);
  route.config = { ...config, refusals: all };
  route.schema = {
    ...schema,
    response: { ...(schema.response as object | undefined), ...Object.fromEntries(refused) },
  };
}

/** What a route may refuse for what it takes, whatever it does. */
function impliedBy({ schema = {}, config, method }: RouteOptions): Refusals {
  // Said of the methods that a route adds for itself (HEAD): they have it from their GET.
  if (config?.refusals?.internal_server_error !== undefined) return {};
  const { params, querystring, body, security } = schema;
  const carriesBody = [method].flat().some((one) => one !== 'GET' && one !== 'HEAD');
  const checked = [params, querystring, body].some((part) => part !== undefined) || carriesBody;
  return {
    ...(security?.length === 0 ? {} : { invalid_auth: 'No valid API key was shown' }),
    ...(checked ? { validation_error: 'The request is not valid' } : {}),
    ...(carriesBody
      ? {
          payload_too_large: 'The body is longer than 1,500,000 bytes',
          unsupported_media_type: 'The body is of a type that the route does not read',
        }
      : {}),
    internal_server_error: 'The service failed; its log says why',
  };
}

/** What is wrong with an answer by the declaration of its route; undefined when nothing is, or when no route answers. */
export function undeclared(
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): { status: number; type?: HttpErrorType; message?: string } | undefined {
  const { schema, config, url } = request.routeOptions;
  if (url === undefined) return undefined;
  const responses = (schema?.response ?? {}) as Record<string, unknown>;
  const status = reply.statusCode;
  if (!(error instanceof HttpError)) return String(status) in responses ? undefined : { status };
  const said = config.refusals?.[error.type];
  const [name] = /^[A-Z]+(_[A-Z]+)+(?=$|\s)/.exec(error.message) ?? [];
  const named = !answersInText(url) || name === undefined || (said?.includes(name) ?? false);
  if (said !== undefined && named) return undefined;
  return { status, type: error.type, message: error.message };
}
