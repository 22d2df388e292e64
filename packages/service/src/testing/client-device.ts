// SPDX-License-Identifier: Apache-2.0
import type { Lwm2mClient } from '@mbl/lwm2m';
import { TestDevice, type TestIdentity } from './device.ts';
import type { Served } from './service.ts';

/** A device that serves objects as ours do, in memory. What it serves is up to its kind. */
export abstract class ClientDevice implements AsyncDisposable {
  readonly identity: TestIdentity;
  readonly #service: Served;
  #client: Lwm2mClient | undefined;
  #connection: TestDevice | undefined;

  protected constructor(service: Served, identity: TestIdentity) {
    this.#service = service;
    this.identity = identity;
  }

  get id(): string {
    return this.identity.deviceId;
  }

  /** What it begins with after its power was off. */
  protected abstract makeClient(): Lwm2mClient;

  /** Starts, and registers. */
  async start(): Promise<void> {
    await this.off();
    const client = this.makeClient();
    this.#client = client;
    await this.#connect(client);
  }

  /** Its network breaks, and is there again: it has forgotten nothing. */
  async reconnect(): Promise<void> {
    await this.disconnect();
    if (this.#client !== undefined) await this.#connect(this.#client);
  }

  async disconnect(): Promise<void> {
    await this.#connection?.[Symbol.asyncDispose]();
    this.#connection = undefined;
  }

  async #connect(client: Lwm2mClient): Promise<void> {
    this.#connection = await TestDevice.connect(this.#service, this.identity, { handler: client.handler });
    await client.attach(this.#connection.peer);
  }

  /** Its power is cut. */
  async off(): Promise<void> {
    await this.disconnect();
    await this.#client?.[Symbol.asyncDispose]();
    this.#client = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.off();
  }
}
