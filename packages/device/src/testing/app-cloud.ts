// SPDX-License-Identifier: Apache-2.0
import { SeededRandom, SimulatedClock, SimulatedStream } from '@mbl/coap';
import type { AppCaller, AppResource } from '@mbl/formats';
import { Lwm2mClient, Lwm2mServer, type Registration, serverObject } from '@mbl/lwm2m';
import { AppObjects } from '../cloud-client/ipc/app-objects.ts';
import type { Variant } from '../cloud-client/ipc/wire.ts';

export function caller(app: string, ...resources: AppResource[]): AppCaller {
  return { app, team: 'measuring', resources, talk: ['com.mbl.Cloud1'], own: [] };
}

export function resource(
  path: string,
  type: AppResource['type'],
  ...operations: AppResource['operations'][number][]
): AppResource {
  return { path, type, operations };
}

/** A connection of an app's, and what it heard. */
export class Heard {
  readonly events: unknown[][] = [];

  written(path: string, { signature, value }: Variant): void {
    this.events.push(['written', path, signature, value]);
  }

  executed(path: string, text: string): void {
    this.events.push(['executed', path, text]);
  }
}

/** For tests: apps of a device and the server that it is registered with, under one simulated clock. */
export class AppCloud {
  readonly clock = new SimulatedClock();
  readonly client = new Lwm2mClient({
    endpointName: 'board',
    objects: [serverObject({ lifetime: 86_400 })],
    clock: this.clock,
  });
  readonly objects = new AppObjects({ client: this.client, clock: this.clock });
  readonly #server = new Lwm2mServer<string>({
    authorize: () => undefined,
    location: () => 'rd/1',
    clock: this.clock,
  });

  async register(): Promise<Registration<string>> {
    const stream = new SimulatedStream(
      this.clock,
      new SeededRandom(7),
      { handler: this.client.handler },
      { handler: this.#server.handler('board') },
    );
    stream.start();
    await this.run(this.client.attach(stream.client.peer));
    const [registration] = this.#server.registrations;
    if (registration === undefined) throw new Error('the client is not registered');
    return registration;
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.until(promise);
  }
}
