// SPDX-License-Identifier: Apache-2.0
import type { CoapPeer, RequestHandler } from '@mbl/coap';
import { SeededRandom, SimulatedClock, SimulatedStream } from '@mbl/coap';
import type { ClientOptions, ClientState } from '../client/options.ts';
import { Lwm2mClient } from '../client/client.ts';
import type { ObjectInstance } from '../client/instance.ts';
import { serverObject } from '../client/server-object.ts';
import type { ServerOptions } from '../server/options.ts';
import type { Registration } from '../server/registration.ts';
import { Lwm2mServer } from '../server/server.ts';

export interface Link {
  client: CoapPeer;
  server: CoapPeer;
  cut(): void;
}

/** A client and a server that talk CoAP over a simulated stream, under one simulated clock. */
export class Conversation {
  readonly clock = new SimulatedClock();
  readonly states: ClientState[] = [];
  readonly events: string[] = [];
  readonly client: Lwm2mClient;
  readonly server: Lwm2mServer<string>;
  /** The handler of a connection; a test may put another in its place. */
  serve: (identity: string) => RequestHandler;
  #serial = 0;

  constructor(
    objects: readonly ObjectInstance[] = [],
    options: Partial<ClientOptions> = {},
    serverOptions: Partial<ServerOptions<string>> = {},
  ) {
    this.client = new Lwm2mClient({
      endpointName: 'board-1',
      objects: [serverObject({ lifetime: 300 }), ...objects],
      clock: this.clock,
      onState: (state) => this.states.push(state),
      ...options,
    });
    this.server = new Lwm2mServer<string>({
      authorize: () => undefined,
      location: () => `rd/${++this.#serial}`,
      onRegister: ({ endpoint }) => void this.events.push(`register ${endpoint}`),
      onUpdate: (_registration, changes) =>
        void this.events.push(`update ${Object.keys(changes).join(' ')}`.trim()),
      onDeregister: ({ endpoint }, reason) => void this.events.push(`${reason} ${endpoint}`),
      clock: this.clock,
      ...serverOptions,
    });
    this.serve = (identity) => this.server.handler(identity);
  }

  connect(identity = 'board-1', handler: RequestHandler = this.client.handler): Link {
    const stream = new SimulatedStream(
      this.clock,
      new SeededRandom(7),
      { handler },
      { handler: this.serve(identity) },
    );
    stream.start();
    return { client: stream.client.peer, server: stream.server.peer, cut: () => stream.cut() };
  }

  /** Connects, registers and answers the registration. */
  async register(identity?: string): Promise<Registration<string>> {
    await this.run(this.client.attach(this.connect(identity).client));
    const [registration] = this.server.registrations;
    if (registration === undefined) throw new Error('the client is not registered');
    return registration;
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.until(promise);
  }

  stateNames(): string[] {
    return this.states.map(({ state }) => state);
  }
}
