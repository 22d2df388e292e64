// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Caller, CallOptions, ListOptions } from './caller.ts';
import type { Device, DeviceGroup } from './types.ts';

/** Device groups. */
export class GroupCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  list(options: ListOptions = {}): Promise<DeviceGroup[]> {
    return this.#caller.list('/v3/device-groups', options);
  }

  /** The group that has this id or this name. Throws `service/no-such-group`. */
  async find(idOrName: string, options: CallOptions = {}): Promise<DeviceGroup> {
    const by = async (filter: Readonly<Record<string, string>>) =>
      (await this.list({ ...options, filter, limit: 1 }))[0];
    const found = (await by({ name__eq: idOrName })) ?? (await by({ id__eq: idOrName }));
    if (found !== undefined) return found;
    throw new MblError('service/no-such-group', `There is no device group ${idOrName}`, {
      remedy: `See which there are: ./mbl group list. Make it: ./mbl group create ${idOrName}`,
    });
  }

  create(name: string, description = '', options: CallOptions = {}): Promise<DeviceGroup> {
    return this.#caller.call('POST', '/v3/device-groups', { name, description }, options);
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('DELETE', groupUrl(id), undefined, options);
  }

  devices(id: string, options: ListOptions = {}): Promise<Device[]> {
    return this.#caller.list(`${groupUrl(id)}/devices`, options);
  }

  async add(id: string, deviceId: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('POST', `${groupUrl(id)}/devices/add`, { device_id: deviceId }, options);
  }

  async remove(id: string, deviceId: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('POST', `${groupUrl(id)}/devices/remove`, { device_id: deviceId }, options);
  }
}

function groupUrl(id: string): string {
  return `/v3/device-groups/${encodeURIComponent(id)}`;
}
