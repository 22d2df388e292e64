// SPDX-License-Identifier: Apache-2.0
import { createClient, defineInterface, type MessageBus } from 'dbus-native';
import { MblError } from '@mbl/trust';
import type { Log } from '../common/log.ts';
import { type Platform, platformContract, platformName, platformPath } from '../platform/contract.ts';
import { memberName, type Method, readFromBus } from '../platform/method.ts';

const startTimeoutMs = 30_000;

/** Offers a platform on the bus. Who may call is the bus's policy: `com.mbl.Platform1.conf`. */
export class PlatformService implements AsyncDisposable {
  readonly #platform: Platform;
  readonly #busAddress: string;
  readonly #log: Log;
  readonly #gone = new AbortController();
  #bus: MessageBus | undefined;

  constructor(platform: Platform, busAddress: string, log: Log) {
    this.#platform = platform;
    this.#busAddress = busAddress;
    this.#log = log;
  }

  /** Aborted when the bus went away: a name is lost with its connection, so the process starts anew. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Throws `device/bus-failed`. */
  async start(): Promise<void> {
    try {
      await this.#start(AbortSignal.timeout(startTimeoutMs));
    } catch (cause) {
      await this[Symbol.asyncDispose]();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MblError(
        'device/bus-failed',
        `the name ${platformName} cannot be had on the system bus: ${why}`,
        { cause },
      );
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const bus = createClient({ busAddress: this.#busAddress, authMethods: ['EXTERNAL'] });
    this.#bus = bus;
    const failed = new Promise<never>((_resolve, reject) => {
      bus.connection.on('error', reject);
      bus.connection.on('close', (cause) => reject(cause ?? new Error('the bus closed the connection')));
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    bus.connection.on('close', () => this.#gone.abort());
    failed.catch(() => undefined);
    await Promise.race([bus.export(platformPath, this.#definition()), failed]);
    const name = await Promise.race([bus.ownName(platformName, doNotQueue), failed]);
    if (!name.isPrimaryOwner) throw new Error('somebody else has it');
  }

  #definition() {
    const methods = Object.entries<Method>(platformContract).map(([name, { args, result }]) => {
      const definition = {
        in: Object.fromEntries(Object.entries(args).map(([key, { signature }]) => [key, signature])),
        out: result === undefined ? {} : { value: result.signature },
        handler: (given: Readonly<Record<string, unknown>>) => this.#call(name, given),
      };
      return [name, definition] as const;
    });
    return defineInterface({ name: platformName, methods: Object.fromEntries(methods) });
  }

  async #call(name: string, given: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { args, result } = (platformContract as Readonly<Record<string, Method>>)[name] as Method;
    try {
      const values = readFromBus(`an argument of ${name}`, () =>
        Object.fromEntries(Object.entries(args).map(([key, shape]) => [key, shape.fromBus(given[key])])),
      );
      const member = memberName(name) as keyof Platform;
      if (result === undefined) this.#log.info('ordered', { method: name });
      const answer = await (this.#platform[member] as (values: unknown) => Promise<unknown>)(values);
      return result?.toBus(answer);
    } catch (error) {
      this.#log.error('call failed', {
        method: name,
        reason: error instanceof Error ? error.message : String(error),
      });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus?.close().catch(() => undefined);
  }
}

/** DBUS_NAME_FLAG_DO_NOT_QUEUE. */
const doNotQueue = 4;
