// SPDX-License-Identifier: Apache-2.0
import {
  acceptOption,
  type CoapResponse,
  Code,
  contentFormat,
  contentFormatOption,
  formatCode,
  isSuccessCode,
  maxAge,
  uriPathOptions,
  uriQueryOptions,
} from '@mbl/coap';
import { HttpError } from '../../infra/http/errors.ts';
import type { DeviceSession } from '../connections/session.ts';
import type { AsyncResponse } from '../notifications/message.ts';
import { RequestFailure, statusOf, toFailure } from './failure.ts';
import { toContentFormat, toMediaType } from './media-types.ts';

const methods = { GET: Code.GET, POST: Code.POST, PUT: Code.PUT, DELETE: Code.DELETE } as const;

/** Pelion's device request: any CoAP request, its body in base64. */
export interface RawDeviceRequest {
  method: string;
  uri: string;
  'content-type'?: string | undefined;
  accept?: string | undefined;
  'payload-b64'?: string | undefined;
}

/** What is to be sent, checked. */
export interface ParsedRequest {
  readonly code: number;
  readonly path: readonly string[];
  readonly query: readonly string[];
  readonly contentFormat: number | undefined;
  readonly accept: number | undefined;
  readonly payload: Uint8Array;
}

/** Throws a validation error in Pelion's words. */
export function parseRawRequest(request: RawDeviceRequest): ParsedRequest {
  const code = Object.hasOwn(methods, request.method.toUpperCase())
    ? methods[request.method.toUpperCase() as keyof typeof methods]
    : undefined;
  if (code === undefined) throw new HttpError('validation_error', 'METHOD_NOT_ALLOWED');
  return {
    code,
    ...parseUri(request.uri),
    contentFormat: mediaType(request['content-type']),
    accept: mediaType(request.accept),
    payload: parsePayload(request['payload-b64']),
  };
}

function parseUri(uri: string): { path: string[]; query: string[] } {
  const [path = '', query] = uri.split('?', 2);
  try {
    if (!path.startsWith('/') || uri.length > 1000) throw new Error('not absolute');
    const parts = {
      path: path
        .split('/')
        .slice(1)
        .filter((segment) => segment !== '')
        .map(decodeURIComponent),
      query: query === undefined || query === '' ? [] : query.split('&').map(decodeURIComponent),
    };
    if ([...parts.path, ...parts.query].some((part) => Buffer.byteLength(part) > 255))
      throw new Error('too long');
    return parts;
  } catch (cause) {
    throw new HttpError('validation_error', 'MALFORMED_URI', [], cause);
  }
}

function mediaType(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const format = toContentFormat(text);
  if (format === undefined)
    throw new HttpError('validation_error', `UNKNOWN_MEDIA_TYPE ${text.slice(0, 100)}`);
  return format;
}

function parsePayload(text = ''): Uint8Array {
  try {
    return Uint8Array.fromBase64(text);
  } catch (cause) {
    throw new HttpError('validation_error', 'MALFORMED_PAYLOAD', [], cause);
  }
}

/** Sends it as it is: no LwM2M meaning is read into it. Rejects with a `RequestFailure` unless the device says yes. */
export async function sendRaw(
  request: ParsedRequest,
  device: DeviceSession,
  signal: AbortSignal,
): Promise<CoapResponse> {
  const root = device.root.split('/').filter((segment) => segment !== '');
  const options = [
    ...uriPathOptions([...root, ...request.path]),
    ...(request.contentFormat === undefined ? [] : [contentFormatOption(request.contentFormat)]),
    ...uriQueryOptions(request.query),
    ...(request.accept === undefined ? [] : [acceptOption(request.accept)]),
  ].toSorted((a, b) => a.number - b.number);
  const response = await device.peer.request(
    { code: request.code, options, payload: request.payload },
    { signal },
  );
  if (isSuccessCode(response.code)) return response;
  const said = Buffer.from(response.payload.subarray(0, 200)).toString();
  const message = `The device answered ${formatCode(response.code)}${said === '' ? '' : `: ${said}`}`;
  throw new RequestFailure(statusOf(response.code), said === '' ? formatCode(response.code) : said, message);
}

/** An answer as the notification channel carries it. */
export function answered(id: string, response: CoapResponse): AsyncResponse {
  return {
    id,
    status: statusOf(response.code),
    payload: Buffer.from(response.payload).toString('base64'),
    ct: toMediaType(contentFormat(response.options)),
    'max-age': String(maxAge(response.options)),
  };
}

/** A failure as the notification channel carries it. */
export function failed(id: string, error: unknown): AsyncResponse {
  const failure = toFailure(error);
  if (failure instanceof RequestFailure) return { id, status: failure.status, error: failure.error };
  return { id, status: 500, error: 'INTERNAL_ERROR' };
}
