// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { connectStream } from '@mbl/coap';
import { Lwm2mServer, type Registration } from '@mbl/lwm2m';

/** An LwM2M server that knows the standard and nothing of us, in the place of the service and with its certificate. */
export class StandardServer implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #registered: Promise<Registration<string>>;

  private constructor(stack: AsyncDisposableStack, registered: Promise<Registration<string>>) {
    this.#stack = stack;
    this.#registered = registered;
  }

  /** `directory`: of the service, which is stopped; `port`: where its devices connect to. */
  static async start(directory: string, port: number): Promise<StandardServer> {
    await using stack = new AsyncDisposableStack();
    const registered = Promise.withResolvers<Registration<string>>();
    let count = 0;
    const lwm2m = stack.use(
      new Lwm2mServer<string>({
        authorize: () => undefined,
        location: () => `rd/${++count}`,
        onRegister: (registration) => registered.resolve(registration),
      }),
    );
    const pem = async (name: string) => await readFile(join(directory, 'ca', name), 'utf8');
    const server = createServer(
      {
        key: await pem('service.key'),
        cert: await pem('service.pem'),
        ca: await pem('device-ca.pem'),
        requestCert: true,
        ALPNProtocols: ['coap'],
      },
      (socket) => void connectStream(socket, { handler: lwm2m.handler('device') }),
    );
    const sockets = new Set<{ destroy(): void }>();
    server.on('connection', (socket) => sockets.add(socket));
    stack.defer(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    });
    await new Promise<void>((listening, failed) => {
      server.once('error', failed);
      server.listen(port, '127.0.0.1', listening);
    });
    return new StandardServer(stack.move(), registered.promise);
  }

  /** The first device that registers. */
  async device(): Promise<Registration<string>> {
    return await this.#registered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
