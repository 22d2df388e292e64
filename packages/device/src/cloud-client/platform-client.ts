// SPDX-License-Identifier: Apache-2.0
import type { MessageBus } from 'dbus-native';
import { MblError } from '@mbl/trust';
import {
  type Memory,
  type Network,
  type Platform,
  parseMemory,
  parseNetwork,
  platformName,
  platformPath,
} from '../platformd/interface.ts';

/** The first call starts the service, which takes a slow board its time. */
const timeoutMs = 30_000;

/** Calls `mbl-platformd` over D-Bus; connects at the first call, and again when the bus was gone. */
export class PlatformClient implements Platform, AsyncDisposable {
  readonly #busAddress: string;
  #bus: Promise<MessageBus> | undefined;

  constructor(busAddress: string) {
    this.#busAddress = busAddress;
  }

  async reboot(): Promise<void> {
    await this.#call('Reboot');
  }

  async memory(): Promise<Memory> {
    return parseMemory(await this.#call('GetMemory'));
  }

  async network(): Promise<Network> {
    return parseNetwork(await this.#call('GetNetwork'));
  }

  async #call(member: string): Promise<unknown> {
    try {
      const bus = await (this.#bus ??= this.#connect());
      const message = { destination: platformName, path: platformPath, interface: platformName, member };
      return await bus.invoke<unknown>(message, { timeout: timeoutMs });
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
