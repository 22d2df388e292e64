// SPDX-License-Identifier: Apache-2.0
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import { Code, connectStream, encodeTcpFrame } from '@mbl/coap';
import { factoryFor, serviceName } from '@mbl/formats';
import { Lwm2mError, Lwm2mServer, type Registration } from '@mbl/lwm2m';
import {
  type CertificateAuthority,
  certificatePem,
  certsOnlyMediaType,
  decodeEstBody,
  encodeCertsOnly,
  encodeEstBody,
  issueCertificate,
  keyFingerprint,
  memorySigner,
  parseRequest,
  selfSign,
  type SubjectName,
  subjectOf,
} from '@mbl/trust';

export const deviceId = '0199aabbccdd00112233445566778899';
export const accountId = 'account-1';
export const code = 'one-time-secret';

/** How the service behaves; tests change it while it runs. */
export interface Behaviour {
  /** The status of EST answers instead of a certificate. */
  estStatus?: number;
  /** Issue, then break the connection: the answer is lost. */
  loseAnswers?: number;
  /** Answer Register with this status. */
  registerStatus?: number;
  notAfter?: Date;
  /** Send every connection away with this reason. */
  refuseAs?: string | undefined;
}

/** For tests: a certificate authority with EST over HTTPS and an LwM2M server over mutual TLS, both real. */
export class FakeService implements AsyncDisposable {
  readonly behaviour: Behaviour = {};
  /** Fingerprints of the keys that certificates were issued for. */
  readonly issued: string[] = [];
  readonly requests: { url: string; authorization: string | undefined; subject: SubjectName }[] = [];
  readonly registrations: Registration<X509Certificate>[] = [];
  readonly farewells: string[] = [];
  readonly alpn: (string | false | null)[] = [];
  readonly #ca: CertificateAuthority;
  /** The service's own key and certificate, and the authority, in PEM. */
  readonly tls: { key: string | Buffer; cert: string; ca: string };
  readonly #sockets = new Set<Socket>();
  #est: HttpsServer | undefined;
  #lwm2m: NetServer | undefined;
  #ports = { est: 0, lwm2m: 0 };
  #server: Lwm2mServer<X509Certificate> | undefined;

  private constructor(ca: CertificateAuthority, tls: FakeService['tls']) {
    this.#ca = ca;
    this.tls = tls;
  }

  static async start(hosts: readonly string[] = [serviceName]): Promise<FakeService> {
    const signer = memorySigner(newKey());
    const ca = {
      signer,
      certificate: await selfSign(signer, { subject: { commonName: 'CA' }, authority: true }),
    };
    const key = newKey();
    const certificate = await issueCertificate(ca, {
      subject: { commonName: 'service' },
      publicKey: createPublicKey(key),
      usage: 'server',
      notAfter: new Date('2049-01-01'),
      hosts,
    });
    const service = new FakeService(ca, {
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      cert: certificatePem(certificate),
      ca: certificatePem(ca.certificate),
    });
    await service.listen();
    return service;
  }

  /** The text of a factory.json for this service. */
  factory(endpointName: string, change: object = {}): string {
    const factory = factoryFor(
      { ports: { http: 0, ...this.#ports } },
      { endpointName, enrolmentCode: code, host: '127.0.0.1', trust: this.tls.ca },
    );
    return JSON.stringify({ ...factory, ...change });
  }

  /** Starts, or starts again on the same ports. */
  async listen(): Promise<void> {
    const tls = { ...this.tls, requestCert: true };
    this.#est = createHttps({ ...tls, rejectUnauthorized: false }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    const server = (this.#server = new Lwm2mServer<X509Certificate>({
      authorize: ({ endpoint }, certificate) => {
        const status = this.behaviour.registerStatus;
        if (status !== undefined || endpoint !== subjectOf(certificate.raw).commonName) {
          throw new Lwm2mError('test/refused', 'not you', { status: status ?? 131 });
        }
      },
      location: () => `rd/${this.registrations.length}`,
      onRegister: (registration) => void this.registrations.push(registration),
      onDeregister: (_registration, reason) => void this.farewells.push(reason),
    }));
    this.#lwm2m = createTls({ ...tls, ALPNProtocols: ['coap'] }, (socket: TLSSocket) => {
      this.alpn.push(socket.alpnProtocol);
      if (this.behaviour.refuseAs !== undefined) return refuse(socket, this.behaviour.refuseAs);
      const identity = new X509Certificate(socket.getPeerCertificate().raw);
      connectStream(socket, { handler: server.handler(identity) });
    });
    this.#ports = {
      est: await listenOn(this.#est, this.#ports.est),
      lwm2m: await listenOn(this.#lwm2m, this.#ports.lwm2m),
    };
    for (const one of [this.#est, this.#lwm2m]) {
      one.on('connection', (socket: Socket) => {
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
      });
    }
  }

  /** Stops as a crash does: connections break, ports are closed. */
  async crash(): Promise<void> {
    this.#server?.[Symbol.dispose]();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await Promise.all([this.#est, this.#lwm2m].map((one) => new Promise((resolve) => one?.close(resolve))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const { subject, publicKey } = parseRequest(decodeEstBody(Buffer.concat(chunks)));
    this.requests.push({ url: request.url ?? '', authorization: request.headers.authorization, subject });
    const { estStatus, notAfter = new Date('2040-01-01') } = this.behaviour;
    if (estStatus !== undefined) {
      response.writeHead(estStatus, { 'content-type': 'text/plain' }).end('no certificate for you\n');
      return;
    }
    const authenticated =
      (request.socket as TLSSocket).authorized || request.headers.authorization !== undefined;
    if (!authenticated) {
      response.writeHead(401).end();
      return;
    }
    const certificate = await issueCertificate(this.#ca, {
      subject: { commonName: subject.commonName ?? '', locality: deviceId, organizationalUnit: accountId },
      publicKey,
      usage: 'client',
      notAfter,
    });
    this.issued.push(keyFingerprint(publicKey));
    if ((this.behaviour.loseAnswers ?? 0) > 0) {
      this.behaviour.loseAnswers = (this.behaviour.loseAnswers ?? 0) - 1;
      request.socket.destroy();
      return;
    }
    response
      .writeHead(200, { 'content-type': certsOnlyMediaType })
      .end(encodeEstBody(encodeCertsOnly([certificate])));
  }
}

/** As the service does it: Capabilities and Settings, then an Abort that says why (RFC 8323 §5.6). */
function refuse(socket: TLSSocket, reason: string): void {
  const [token, options] = [new Uint8Array(), []];
  socket.write(encodeTcpFrame({ code: Code.CSM, token, options, payload: token }));
  socket.end(
    encodeTcpFrame({ code: Code.ABORT, token, options, payload: Buffer.from(`${reason}: go away`) }),
  );
  socket.resume();
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

async function listenOn(server: NetServer | HttpsServer, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}
