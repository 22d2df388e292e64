// SPDX-License-Identifier: Apache-2.0
import { createClient, type MessageBus, variantValue } from 'dbus-native';
import type { Units } from '../platform/units.ts';

const service = 'org.freedesktop.systemd1';
const deadlineMs = 10_000;
/** Of a counter that nobody counts (org.freedesktop.systemd1(5)). */
const unset = 0xffff_ffff_ffff_ffffn;

/**
 * Units of the system manager, by its properties on the system bus, which everybody may read. Connects at the first call, and again when the bus was
 * gone.
 */
export class SystemUnits implements Units, AsyncDisposable {
  readonly #busAddress: string;
  #bus: MessageBus | undefined;

  constructor(busAddress: string) {
    this.#busAddress = busAddress;
  }

  async read(unit: string): ReturnType<Units['read']> {
    try {
      const get = this.#properties(unit);
      const [activeState, subState, changed, result, restarts, memory, code, status] = await Promise.all([
        get('Unit', 'ActiveState'),
        get('Unit', 'SubState'),
        get('Unit', 'StateChangeTimestamp'),
        get('Service', 'Result'),
        get('Service', 'NRestarts'),
        get('Service', 'MemoryCurrent'),
        get('Service', 'ExecMainCode'),
        get('Service', 'ExecMainStatus'),
      ]);
      return {
        activeState: String(activeState),
        subState: String(subState),
        since: Math.floor(numberOf(changed) / 1000),
        result: String(result),
        restarts: numberOf(restarts),
        memory: memory === unset ? 0 : numberOf(memory),
        code: numberOf(code),
        status: numberOf(status),
      };
    } catch {
      return undefined;
    }
  }

  #properties(unit: string): (of: string, property: string) => Promise<unknown> {
    const bus = (this.#bus ??= this.#connect());
    const path = `/org/freedesktop/systemd1/unit/${escaped(unit)}`;
    return async (of, property) =>
      variantValue(
        await bus.invoke<unknown>(
          {
            destination: service,
            path,
            interface: 'org.freedesktop.DBus.Properties',
            member: 'Get',
            signature: 'ss',
            body: [`${service}.${of}`, property],
          },
          { timeout: deadlineMs },
        ),
      );
  }

  #connect(): MessageBus {
    const bus = createClient({ busAddress: this.#busAddress, authMethods: ['EXTERNAL'] });
    bus.connection.on('error', () => undefined);
    bus.connection.on('close', () => (this.#bus = undefined));
    return bus;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus?.close().catch(() => undefined);
  }
}

/** A name as a part of an object path (sd_bus_path_encode(3)). */
function escaped(unit: string): string {
  return unit.replaceAll(
    /[^A-Za-z0-9]|^[0-9]/g,
    (letter) => `_${letter.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function numberOf(value: unknown): number {
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}
