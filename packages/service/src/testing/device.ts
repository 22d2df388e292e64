// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import {
  type CoapPeer,
  type CoapResponse,
  Code,
  connectStream,
  contentFormatOption,
  locationPath,
  type RequestHandler,
  uriPathOptions,
  uriQueryOptions,
} from '@mbl/coap';
import { certificatePem, createRequest, decodeCertsOnly, decodeEstBody, encodeEstBody } from '@mbl/trust';
import type { Served } from './service.ts';

/** A key and its certificate, both PEM. */
export interface TestIdentity {
  name: string;
  deviceId: string;
  key: string;
  cert: string;
}

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
export const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' });

export interface EstAnswer {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

/** One EST request, with the checks of the server that a device makes. */
export async function est(
  service: Served,
  path: string,
  options: {
    method?: string;
    body?: string;
    headers?: Record<string, string>;
    key?: string;
    cert?: string;
  } = {},
): Promise<EstAnswer> {
  const { method = 'GET', body, ...rest } = options;
  const ca = await readFile(service.service.file.trust, 'utf8');
  const url = new URL(`/.well-known/est/${path}`, service.service.file.est);
  return new Promise((done, fail) => {
    const request = httpsRequest(
      url,
      { method, ca, servername: 'service.mbl.internal', agent: false, ...rest },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () =>
          done({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      },
    );
    request.on('error', fail).end(body);
  });
}

export const requestBody = (key: KeyObject, commonName: string): string =>
  encodeEstBody(createRequest(key, { commonName }).der);

export const basic = (name: string, code: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${name}:${code}`).toString('base64')}`,
  'content-type': 'application/pkcs10',
});

export const certificateIn = (answer: EstAnswer): string => {
  const [certificate] = decodeCertsOnly(decodeEstBody(answer.body));
  assert.ok(certificate);
  return certificatePem(certificate);
};

/** Makes a code and enrols a new key with it. */
export async function enrol(service: Served, name: string): Promise<TestIdentity> {
  const made = await service.call('POST', '/v3/device-enrolment-codes', { endpoint_name: name });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const key = newKey();
  const answer = await est(service, 'simpleenroll', {
    method: 'POST',
    headers: basic(name, made.body.code),
    body: requestBody(key, name),
  });
  assert.equal(answer.status, 200, answer.body);
  return { name, deviceId: made.body.device_id, key: keyPem(key), cert: certificateIn(answer) };
}

export interface TestConnectOptions {
  handler?: RequestHandler;
  port?: number;
  maxVersion?: 'TLSv1.2' | 'TLSv1.3';
}

/** A device: a TLS client that speaks CoAP, and no more LwM2M than a test asks for. */
export class TestDevice implements AsyncDisposable {
  readonly identity: TestIdentity;
  readonly socket: TLSSocket;
  readonly peer: CoapPeer;
  location: string[] = [];

  private constructor(identity: TestIdentity, socket: TLSSocket, peer: CoapPeer) {
    this.identity = identity;
    this.socket = socket;
    this.peer = peer;
  }

  static async connect(
    service: Served,
    identity: TestIdentity,
    { handler, port, maxVersion = 'TLSv1.3' }: TestConnectOptions = {},
  ): Promise<TestDevice> {
    const socket = connect({
      host: '127.0.0.1',
      port: port ?? service.service.file.ports.lwm2m,
      servername: 'service.mbl.internal',
      ca: await readFile(service.service.file.trust, 'utf8'),
      ALPNProtocols: ['coap'],
      maxVersion,
      key: identity.key,
      cert: identity.cert,
    });
    await once(socket, 'secureConnect');
    const peer = connectStream(socket, handler === undefined ? {} : { handler });
    return new TestDevice(identity, socket, peer);
  }

  /** Connects and registers. */
  static async register(
    service: Served,
    identity: TestIdentity,
    options: TestConnectOptions & { lifetime?: number; parameters?: readonly string[] } = {},
  ): Promise<TestDevice> {
    const device = await TestDevice.connect(service, identity, options);
    await device.registerAgain(options.lifetime, options.parameters);
    return device;
  }

  async registerAgain(lifetime = 300, parameters: readonly string[] = []): Promise<void> {
    const query = [`ep=${this.identity.name}`, `lt=${lifetime}`, 'lwm2m=1.1', 'b=T', ...parameters];
    const answer = await this.post(['rd'], query, objects);
    assert.equal(answer.code, Code.CREATED, Buffer.from(answer.payload).toString());
    this.location = locationPath(answer.options);
  }

  post(path: string[], query: string[], body = ''): Promise<CoapResponse> {
    const format = body === '' ? [] : [contentFormatOption(40)];
    const options = [...uriPathOptions(path), ...format, ...uriQueryOptions(query)];
    return this.peer.request({ code: Code.POST, options, payload: Buffer.from(body) }, { timeoutMs: 60_000 });
  }

  /** Ends like a machine whose power is cut: nothing is sent. */
  vanish(): void {
    this.socket.removeAllListeners('data');
    this.socket.pause();
  }

  /** The reason for which the service, or the network, ended the connection. */
  async ended(): Promise<string> {
    if (!this.peer.closed.aborted)
      await once(this.peer.closed, 'abort', { signal: AbortSignal.timeout(60_000) });
    return (this.peer.closed.reason as Error).message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.peer.close();
    this.socket.destroy();
  }
}

export const objects = '</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>,</4/0>,</14/0>,</14/1>,</14/2>';

/** Polls until a check gives something. */
export async function eventually<T>(
  check: () => Promise<T | undefined | false>,
  what: string,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const result = await check();
    if (result !== undefined && result !== false) return result;
    assert.ok(Date.now() < deadline, `in ${timeoutMs} ms not: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
