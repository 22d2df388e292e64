// SPDX-License-Identifier: Apache-2.0
import type { CoapRequest } from '@mbl/coap';
import { Code, ContentFormat, contentFormat, uriQuery } from '@mbl/coap';
import type { Link } from '../codecs/link-format.ts';
import { decodeLinks } from '../codecs/link-format.ts';
import { Lwm2mError } from '../errors.ts';
import { queryMap } from '../messages.ts';
import type { RegisterRequest, RegistrationChanges } from './options.ts';

/** Where the client names none (LwM2M Core 1.1 §6.2.1). */
const defaultLifetime = 86_400;
const longestLifetime = 2 ** 32 - 1;
const bindingPattern = /^[UTSNM]{1,6}Q?S?$/;

/**
 * `named` is the name of a client that gives none. Throws 4.00, 4.12 (a version this server does not speak) and 4.15.
 */
export function parseRegister(request: CoapRequest, named: string | undefined): RegisterRequest {
  const query = queryMap(uriQuery(request.options));
  const endpoint = query.has('ep') ? query.get('ep') : named;
  if (endpoint === undefined || endpoint === '') throw invalid('the registration names no endpoint (ep)');
  const version = query.get('lwm2m') ?? '';
  // A client of a later version may know an earlier one too, and asks again (LwM2M Core 1.1 §6.2.1).
  if (!/^1\.[01]$/.test(version)) {
    throw new Lwm2mError('lwm2m/version-unsupported', 'this server speaks LwM2M 1.0 and 1.1', {
      status: Code.PRECONDITION_FAILED,
    });
  }
  const binding = parseBinding(query.get('b') ?? 'U');
  const objects = parseLinks(request);
  if (objects === undefined) throw invalid('the registration lists no objects');
  const parameters = new Map([...query].map(([name, value]) => [name, value ?? '']));
  return {
    endpoint,
    lifetime: parseLifetime(query.get('lt')) ?? defaultLifetime,
    version,
    binding,
    queueMode: query.has('Q') || binding.includes('Q'),
    parameters,
    objects,
  };
}

/** Throws 4.00 and 4.15. */
export function parseUpdate(request: CoapRequest): RegistrationChanges {
  const query = queryMap(uriQuery(request.options));
  const lifetime = parseLifetime(query.get('lt'));
  const binding = query.get('b');
  const objects = parseLinks(request);
  return {
    ...(lifetime !== undefined && { lifetime }),
    ...(binding !== undefined && { binding: parseBinding(binding) }),
    ...(objects !== undefined && { objects }),
  };
}

function parseLifetime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const lifetime = /^\d{1,10}$/.test(text) ? Number(text) : undefined;
  if (lifetime === undefined || lifetime > longestLifetime)
    throw invalid('the lifetime (lt) is no number of seconds');
  return lifetime;
}

function parseBinding(text: string): string {
  if (!bindingPattern.test(text)) throw invalid('the binding (b) is not known');
  return text;
}

function parseLinks(request: CoapRequest): readonly Link[] | undefined {
  if (request.payload.length === 0) return undefined;
  const format = contentFormat(request.options) ?? ContentFormat.LINK;
  if (format === ContentFormat.LINK) return decodeLinks(request.payload);
  throw new Lwm2mError('lwm2m/format-unsupported', 'the registration is not in link-format', {
    status: Code.UNSUPPORTED_CONTENT_FORMAT,
  });
}

function invalid(detail: string): Lwm2mError {
  return new Lwm2mError('lwm2m/registration-invalid', detail, { status: Code.BAD_REQUEST });
}
