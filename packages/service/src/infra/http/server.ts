// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import swagger from '@fastify/swagger';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault,
} from 'fastify';
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { z } from 'zod';
import { isUnstorableText } from '../database.ts';
import type { Log } from '../log.ts';
import { AllowedMethods } from './allowed-methods.ts';
import { answersInText, declareRefusals, undeclared } from './declared-answers.ts';
import { HttpError, invalid, typeOfStatus } from './errors.ts';
import { closeConnectionsAtStop } from './stop.ts';

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

declare module 'fastify' {
  interface FastifyRequest {
    /** Id of the API key that the caller showed. */
    apiKeyId: string;
    /** What it was refused for. */
    refusal: HttpError | null;
  }
}

export interface HttpServerOptions {
  readonly newId: () => string;
  readonly log: Log;
  /** Gives the id of the API key that a bearer token is, or undefined. */
  readonly authenticate: (token: string) => Promise<string | undefined>;
  /** Adds the routes of all features. */
  readonly routes: (app: App) => void;
}

/** Longest request body: a resource value is at most 1 MiB, which base64 and JSON make a third longer. */
const bodyLimit = 1_500_000;
/** The log's line of an answer that the API's description does not have: a defect of ours. */
export const undeclaredAnswer = 'An answer that the API does not declare';
const openPaths = ['/v3/openapi.json', '/v3/health'];

/** The REST server, ready to listen. Every route but the description and the health wants an API key. */
export async function buildHttpServer(options: HttpServerOptions): Promise<App> {
  const app: App = fastify({
    logger: false,
    bodyLimit,
    genReqId: () => options.newId(),
    requestTimeout: 60_000,
    // What is refused before there is a route: a path that cannot be decoded.
    frameworkErrors: (error, request, reply) => answerError(asHttpError(error), request, reply, options.log),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512 },
  }).withTypeProvider<ZodTypeProvider>();
  closeConnectionsAtStop(app);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.decorateRequest('apiKeyId', '');
  app.decorateRequest('refusal', null);
  app.addHook('onRoute', declareRefusals);
  app.addHook('onSend', async (request, reply, payload) => {
    const wrong = undeclared(request, reply, request.refusal);
    if (wrong !== undefined)
      options.log.error(undeclaredAnswer, {
        method: request.method,
        route: request.routeOptions.url,
        ...wrong,
      });
    return payload;
  });
  app.addHook('onRequest', async (request) => {
    if (openPaths.includes(request.routeOptions.url ?? '')) return;
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const id = token === undefined ? undefined : await options.authenticate(token);
    if (id === undefined) throw new HttpError('invalid_auth', 'A valid API key is needed');
    request.apiKeyId = id;
  });
  const allowed = new AllowedMethods();
  app.addHook('onRoute', ({ url, method }) => allowed.add(url, method));
  app.setErrorHandler((error: FastifyError, request, reply) => {
    answerError(asHttpError(error), request, reply, options.log);
  });
  app.setNotFoundHandler((request, reply) => {
    const methods = allowed.of(pathOf(request));
    if (methods.length > 0) void reply.header('allow', methods.join(', '));
    answerError(
      new HttpError(
        methods.length > 0 ? 'method_not_allowed' : 'not_found',
        `There is no ${request.method} ${pathOf(request)}`,
      ),
      request,
      reply,
      options.log,
    );
  });
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Some clients name the type on every request, with a body or without.
    if (body === '') return done(null, undefined);
    return parseJson(request, String(body), done);
  });
  app.removeContentTypeParser('text/plain');
  // Some clients name a type of their own where there is no body.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    return done(new HttpError('unsupported_media_type', 'The body must be application/json'));
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'MBL device management',
        version: '1.0.0',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      security: [{ bearer: [] }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  await app.register(async (scope) => {
    const typed = scope.withTypeProvider<ZodTypeProvider>() as App;
    options.routes(typed);
    typed.get(
      '/v3/openapi.json',
      { schema: { hide: true, security: [], response: { 200: z.unknown() } } },
      () => app.swagger(),
    );
  });
  return app;
}

function asHttpError(error: FastifyError): HttpError {
  if (error instanceof HttpError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    return invalid(
      error.validation.map((issue) => ({
        name:
          issue.instancePath.replace(/^\//, '').replaceAll('/', '.') || (error.validationContext ?? 'body'),
        message: issue.message ?? 'Not valid',
      })),
      error,
    );
  }
  if (isUnstorableText(error)) {
    return new HttpError('validation_error', 'A text holds a character that cannot be stored', [], error);
  }
  const status = error.statusCode ?? 500;
  if (status < 500) return new HttpError(typeOfStatus(status), error.message, [], error);
  return new HttpError('internal_server_error', 'The service failed; its log says why', [], error);
}

function answerError(error: HttpError, request: FastifyRequest, reply: FastifyReply, log: Log): void {
  if (error.status >= 500 && error.type === 'internal_server_error') {
    log.error('A request failed', {
      request: request.id,
      method: request.method,
      path: pathOf(request),
      error: error.cause,
    });
  }
  request.refusal = error;
  void reply.code(error.status);
  if (error.type === 'invalid_auth') void reply.header('www-authenticate', 'Bearer');
  // Under /v2 an error is its name in plain text, under /v3 an object.
  if (answersInText(request.url)) {
    void reply
      .type('text/plain; charset=utf-8')
      .serializer(String)
      .send([error.message, ...error.fields.map(({ name, message }) => `${name}: ${message}`)].join('\n'));
    return;
  }
  void reply.type('application/json; charset=utf-8').serializer(JSON.stringify).send({
    object: 'error',
    code: error.status,
    type: error.type,
    message: error.message,
    request_id: request.id,
    fields: error.fields,
  });
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}
