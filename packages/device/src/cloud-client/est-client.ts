// SPDX-License-Identifier: Apache-2.0
import type { KeyObject, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FactoryConfiguration } from '@mbl/formats';
import {
  certificatePem,
  createRequest,
  decodeCertsOnly,
  decodeEstBody,
  encodeEstBody,
  MblError,
  requestMediaType,
  subjectOf,
} from '@mbl/trust';
import { addressOf } from '../common/address.ts';
import type { Identity } from './identity.ts';

const timeoutMs = 30_000;
const maxBodyBytes = 128 * 1024;

type EstFactory = Pick<FactoryConfiguration, 'service' | 'trust' | 'endpointName' | 'enrolmentCode'>;

/**
 * Asks for a first certificate with the one-time code (RFC 7030 §4.2.1). A lost answer is no harm: the same key may ask again.
 *
 * Throws `device/enrolment-refused` when the service said no, `device/enrolment-failed` when it said nothing usable.
 */
export async function enrol(
  factory: EstFactory,
  key: KeyObject,
  signal: AbortSignal,
): Promise<X509Certificate> {
  const { der } = createRequest(key, { commonName: factory.endpointName });
  const credentials = Buffer.from(`${factory.endpointName}:${factory.enrolmentCode}`).toString('base64');
  const headers = { authorization: `Basic ${credentials}` };
  return findOwn(await post(factory, 'simpleenroll', der, { headers }, signal), key);
}

/** Asks for a later end of the same identity, with the certificate that still holds (RFC 7030 §4.2.2). Throws like `enrol`. */
export async function renew(
  factory: EstFactory,
  identity: Identity,
  signal: AbortSignal,
): Promise<X509Certificate> {
  const { key, certificate } = identity;
  const { der } = createRequest(key, subjectOf(certificate.raw));
  const tls = { key: key.export({ type: 'pkcs8', format: 'pem' }), cert: certificatePem(certificate) };
  return findOwn(await post(factory, 'simplereenroll', der, tls, signal), key);
}

interface Authentication {
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: string | Buffer;
  readonly cert?: string;
}

async function post(
  factory: EstFactory,
  operation: string,
  csr: Uint8Array,
  authentication: Authentication,
  signal: AbortSignal,
): Promise<Buffer> {
  const body = encodeEstBody(csr);
  try {
    const response = await send(
      factory,
      operation,
      body,
      authentication,
      AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    );
    const answer = await readBody(response);
    if (response.statusCode === 200) return answer;
    throw statusError(response, answer);
  } catch (cause) {
    if (cause instanceof MblError) throw cause;
    throw new MblError('device/enrolment-failed', cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
}

async function send(
  factory: EstFactory,
  operation: string,
  body: string,
  { headers, ...tls }: Authentication,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { est, serverName } = factory.service;
  // Needed once in a device's life: HTTP stays out of memory, and out of the way of a boot, afterwards.
  const { request } = await import('node:https');
  return new Promise((resolve, reject) => {
    const message = request({
      method: 'POST',
      ...addressOf(est, 443),
      path: `/.well-known/est/${operation}`,
      // Checks the certificate against this name, not against the address that was dialled.
      servername: serverName,
      ca: factory.trust,
      minVersion: 'TLSv1.2',
      agent: false,
      signal,
      ...tls,
      headers: {
        ...headers,
        host: new URL(est).host,
        'content-type': requestMediaType,
        'content-transfer-encoding': 'base64',
        'content-length': Buffer.byteLength(body),
      },
    });
    message.on('response', resolve);
    message.on('error', reject);
    message.end(body);
  });
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes)
      throw new MblError('device/enrolment-failed', `the answer has more than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** 4xx is the service's decision, except the ones that ask to come again (RFC 9110 §15.5). */
function statusError(response: IncomingMessage, answer: Buffer): MblError {
  const status = response.statusCode ?? 0;
  const refused = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const text =
    response.headers['content-type']?.startsWith('text/plain') === true
      ? answer.toString('utf8', 0, 200).trim()
      : '';
  return new MblError(
    refused ? 'device/enrolment-refused' : 'device/enrolment-failed',
    text === '' ? `the service answered ${status}` : text,
    { details: { status, retryAfter: response.headers['retry-after'] } },
  );
}

/** The certificate for our key; a service may send its issuers along. */
function findOwn(answer: Buffer, key: KeyObject): X509Certificate {
  const certificate = decodeCertsOnly(decodeEstBody(answer)).find((candidate) =>
    candidate.checkPrivateKey(key),
  );
  if (certificate !== undefined) return certificate;
  throw new MblError('device/enrolment-failed', "the service sent no certificate for the device's key");
}
