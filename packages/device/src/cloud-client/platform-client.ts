// SPDX-License-Identifier: Apache-2.0
import type { MessageBus } from 'dbus-native';
import { MblError } from '@mbl/trust';
import { type Platform, platformContract, platformName, platformPath } from '../platform/contract.ts';
import { memberName, type Method, readFromBus } from '../platform/method.ts';

export type PlatformClient = Platform & AsyncDisposable;

/**
 * Calls `mbl-platformd` over D-Bus; connects at the first call, and again when the bus was gone. A call throws
 * `device/platform-unavailable`, or `device/platform-malformed`.
 */
export function connectPlatform(busAddress: string): PlatformClient {
  const connection = new BusConnection(busAddress);
  const calls = Object.entries<Method>(platformContract).map(([name, { args, result, deadlineMs }]) => {
    const shapes = Object.entries(args);
    const call = async (values: Readonly<Record<string, never>> = {}) => {
      const answer = await connection.call(name, {
        signature: shapes.map(([, { signature }]) => signature).join(''),
        body: shapes.map(([key, shape]) => shape.toBus(values[key] as never)),
        deadlineMs,
      });
      return result && readFromBus(`the answer to ${name}`, () => result.fromBus(answer));
    };
    return [memberName(name), call] as const;
  });
  const platform = Object.fromEntries<unknown>(calls) as Platform;
  return { ...platform, [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose]() };
}

class BusConnection implements AsyncDisposable {
  readonly #busAddress: string;
  #bus: Promise<MessageBus> | undefined;

  constructor(busAddress: string) {
    this.#busAddress = busAddress;
  }

  async call(
    member: string,
    call: { readonly signature: string; readonly body: unknown[]; readonly deadlineMs: number },
  ): Promise<unknown> {
    const { signature, body, deadlineMs } = call;
    try {
      const bus = await (this.#bus ??= this.#connect());
      const message = { destination: platformName, path: platformPath, interface: platformName, member };
      const args = body.length === 0 ? {} : { signature, body };
      return await bus.invoke<unknown>({ ...message, ...args }, { timeout: deadlineMs });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MblError('device/platform-unavailable', `mbl-platformd did not do ${member}: ${why}`, {
        cause,
        remedy: 'Look at `systemctl status mbl-platformd`.',
      });
    }
  }

  async #connect(): Promise<MessageBus> {
    // Not needed to register: a boot does not wait for it.
    const { createClient } = await import('dbus-native');
    const bus = createClient({ busAddress: this.#busAddress, authMethods: ['EXTERNAL'] });
    bus.connection.on('error', () => undefined);
    bus.connection.on('close', () => (this.#bus = undefined));
    return bus;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const bus = await this.#bus?.catch(() => undefined);
    await bus?.close();
  }
}
