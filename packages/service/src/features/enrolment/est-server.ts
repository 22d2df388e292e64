// SPDX-License-Identifier: Apache-2.0
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import {
  type CertificationRequest,
  certsOnlyMediaType,
  decodeEstBody,
  encodeCertsOnly,
  encodeEstBody,
  MblError,
  parseCertificate,
  parseRequest,
} from '@mbl/trust';
import type { Context } from '../../context.ts';
import type { TlsIdentity } from '../certificates/authorities.ts';
import type { CertificateRegister } from '../certificates/register.ts';
import { renewCertificate } from '../certificates/renewal.ts';
import type { Denial, DenialReason, Denials } from '../denials/denials.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import { releasesPath } from '../releases/repository-files.ts';
import type { EnrolmentCodes } from './codes.ts';

export interface EstParts {
  readonly identity: TlsIdentity;
  /** Signs the service's own certificates; devices trust it. */
  readonly serviceCa: X509Certificate;
  readonly register: CertificateRegister;
  readonly codes: EnrolmentCodes;
  readonly denials: Denials;
  readonly events: EventRecorder;
  /** Serves the repository of releases, which is beside it. */
  readonly serveReleases: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Whether a device holds a connection at this moment. */
  readonly connected: (deviceId: string) => boolean;
}

/** A request is about 300 bytes; nobody needs more than this. */
const maximumBody = 16 * 1024;

/** What a handler wants to be answered instead: the text goes to the device's log. */
class EstRefusal extends Error {
  readonly status: number;
  readonly denial: Omit<Denial, 'door' | 'remoteAddress'>;

  constructor(status: number, denial: Omit<Denial, 'door' | 'remoteAddress'>) {
    super(denial.description);
    this.status = status;
    this.denial = denial;
  }
}

type EstOperation = (
  context: Context,
  parts: EstParts,
  request: IncomingMessage,
) => readonly X509Certificate[] | Promise<readonly X509Certificate[]>;

/** Enrolment over Secure Transport (RFC 7030): cacerts, simpleenroll by one-time code, simplereenroll by certificate. */
export function createEstServer(context: Context, parts: EstParts): Server {
  const server = createServer(
    {
      ...parts.identity,
      minVersion: 'TLSv1.2',
      // A certificate is asked for, because simplereenroll needs it, and judged by us: a refusal must be recorded.
      requestCert: true,
      rejectUnauthorized: false,
      ca: [parts.register.authority.toString()],
      headersTimeout: 10_000,
      requestTimeout: 20_000,
      handshakeTimeout: 10_000,
    },
    (request, response) => {
      handle(context, parts, request, response).catch((error: unknown) => {
        context.log.error('An EST request failed', { error });
        if (!response.headersSent) answerText(response, 500, 'The service failed; try again later');
        else response.destroy();
      });
    },
  );
  server.maxConnections = 2000;
  return server;
}

/** What is asked for, by its name below /.well-known/est/, and what answers it (RFC 7030 §3.2.2). */
const operations = new Map<string, { method: string; answer: EstOperation }>([
  ['cacerts', { method: 'GET', answer: (_, { register, serviceCa }) => [register.authority, serviceCa] }],
  ['simpleenroll', { method: 'POST', answer: async (_, ...asked) => [await enrol(...asked)] }],
  ['simplereenroll', { method: 'POST', answer: async (...asked) => [await reenrol(...asked)] }],
]);

async function handle(
  context: Context,
  parts: EstParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.url?.startsWith(releasesPath) === true) {
    await parts.serveReleases(request, response);
    return;
  }
  const name = /^\/\.well-known\/est\/([^?]*)/.exec(request.url ?? '')?.[1];
  const operation = operations.get(name ?? '');
  try {
    if (operation === undefined) {
      request.resume();
      answerText(response, 404, 'Not found');
    } else if (operation.method !== request.method) {
      request.resume();
      response.setHeader('allow', operation.method);
      answerText(response, 405, `Only ${operation.method}`);
    } else {
      answerCertificates(response, await operation.answer(context, parts, request));
    }
  } catch (error) {
    if (!(error instanceof EstRefusal)) throw error;
    const remoteAddress = request.socket.remoteAddress ?? '';
    await parts.denials.record({ ...error.denial, door: 'est', remoteAddress });
    if (error.status === 401) response.setHeader('www-authenticate', 'Basic realm="est"');
    // What is left of a body that is too long is not worth reading.
    if (!request.readableEnded) response.setHeader('connection', 'close');
    answerText(response, error.status, error.message);
  }
}

/** RFC 7030 §4.2.1, authenticated as §3.2.3 (HTTP Basic). */
async function enrol(parts: EstParts, request: IncomingMessage): Promise<X509Certificate> {
  const credentials = basicCredentials(request.headers.authorization);
  if (credentials === undefined) {
    throw new EstRefusal(401, {
      reason: 'wrong-code',
      description: 'An endpoint name and its enrolment code are needed (HTTP Basic)',
      endpointName: undefined,
    });
  }
  const { endpointName, code } = credentials;
  const { publicKey } = certificationRequest(await readBody(request, endpointName), endpointName);
  const claim = await parts.codes.claim(endpointName, code, publicKey);
  if ('refused' in claim) {
    throw new EstRefusal(claim.refused === 'wrong-code' ? 401 : 403, {
      reason: claim.refused,
      description: claim.description,
      endpointName,
    });
  }
  return parseCertificate(claim.certificate.pem);
}

/** RFC 7030 §4.2.2: a device that can still prove itself by its certificate gets a later end of it. */
async function reenrol(
  context: Context,
  parts: EstParts,
  request: IncomingMessage,
): Promise<X509Certificate> {
  const { register, events } = parts;
  const peer = (request.socket as TLSSocket).getPeerX509Certificate();
  const remoteAddress = request.socket.remoteAddress ?? '';
  // First, because whoever sends it says how long that takes: the right to a certificate may end meanwhile.
  const body = await readBody(request, undefined);
  const { pem } = await events.transaction(async (db, record) => {
    const verdict = await register.identify(peer, db);
    if ('rejected' in verdict) throw new EstRefusal(403, verdict.rejected);
    const { identity } = verdict;
    const endpointName = identity.device.endpoint_name ?? '';
    const { publicKey } = certificationRequest(body, endpointName);
    const asked = { identity, publicKey, remoteAddress };
    const renewal = await renewCertificate(context, parts, asked, db, record);
    if ('certificate' in renewal) return renewal.certificate;
    const { refused: reason, description } = renewal;
    const shown = identity.certificate.fingerprint;
    throw new EstRefusal(403, { reason, description, endpointName, fingerprint: shown });
  });
  return parseCertificate(pem);
}

/** A request of the device that is named for a key that we certify, or a refusal. */
function certificationRequest(body: Buffer, endpointName: string): CertificationRequest {
  let parsed: CertificationRequest;
  try {
    parsed = parseRequest(decodeEstBody(body));
    if (parsed.publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw new MblError('trust/unsupported-key', 'the key of a device must be P-256');
    }
  } catch (error) {
    if (!(error instanceof MblError)) throw error;
    throw new EstRefusal(400, badRequest(endpointName, `Not a valid certificate request: ${error.message}`));
  }
  if (parsed.subject.commonName === endpointName) return parsed;
  throw new EstRefusal(400, badRequest(endpointName, 'The subject of the request is not the endpoint name'));
}

async function readBody(request: IncomingMessage, endpointName: string | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  // The socket must stay open for the answer when reading ends early.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maximumBody) throw new EstRefusal(413, badRequest(endpointName, 'The request is too long'));
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function badRequest(endpointName: string | undefined, description: string) {
  return { reason: 'bad-request' as DenialReason, description, endpointName };
}

/** RFC 7617: the name ends at the first colon, and endpoint names may hold one; codes never do. */
export function basicCredentials(header = ''): { endpointName: string; code: string } | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]{1,400}={0,2})$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.lastIndexOf(':');
  if (colon < 1) return undefined;
  return { endpointName: text.slice(0, colon), code: text.slice(colon + 1) };
}

function answerCertificates(response: ServerResponse, certificates: readonly X509Certificate[]): void {
  const body = encodeEstBody(encodeCertsOnly(certificates));
  response
    .writeHead(200, {
      'content-type': certsOnlyMediaType,
      'content-transfer-encoding': 'base64',
      'content-length': Buffer.byteLength(body),
    })
    .end(body);
}

function answerText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}
