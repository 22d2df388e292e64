// SPDX-License-Identifier: Apache-2.0
import type { Caller, CallOptions, ListOptions } from './caller.ts';
import type {
  DeviceRelease,
  GroupReleaseOrder,
  ReleaseOrder,
  ReleasePublication,
  ReleaseView,
  ReleaseWanted,
} from './types.ts';

/** Releases, and the orders by which devices go to them. */
export class ReleaseCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** The releases that devices can get. */
  async list(options: CallOptions = {}): Promise<ReleaseView[]> {
    return (await this.#caller.call<{ data: ReleaseView[] }>('GET', '/v3/releases', undefined, options)).data;
  }

  /** Offers the next state of a repository: metadata files by their names, each with its SHA-256. Says what is to be sent before it counts. */
  offer(metadata: Readonly<Record<string, string>>, options: CallOptions = {}): Promise<ReleasePublication> {
    return this.#caller.call('POST', '/v3/release-publications', { metadata }, options);
  }

  /** Sends a piece of a file, at most 8 MiB. */
  async send(
    sha256: string,
    piece: Uint8Array,
    { offset, last, signal }: CallOptions & { readonly offset: number; readonly last: boolean },
  ): Promise<void> {
    const path = `/v3/release-files/${sha256}?offset=${offset}&last=${last}`;
    await this.#caller.send('PUT', path, piece, { signal });
  }

  /** What a device runs, and how its order stands. */
  ofDevice(id: string, options: CallOptions = {}): Promise<DeviceRelease> {
    return this.#caller.call('GET', deviceUrl(id), undefined, options);
  }

  order(id: string, wanted: ReleaseWanted, options: CallOptions = {}): Promise<DeviceRelease> {
    return this.#caller.call('PUT', deviceUrl(id), wanted, options);
  }

  /** Calls off the order that runs. Throws `service/conflict` when it is too late. */
  cancel(id: string, options: CallOptions = {}): Promise<DeviceRelease> {
    return this.#caller.call('DELETE', deviceUrl(id), undefined, options);
  }

  orderGroup(id: string, wanted: ReleaseWanted, options: CallOptions = {}): Promise<GroupReleaseOrder> {
    return this.#caller.call('PUT', `/v3/device-groups/${encodeURIComponent(id)}/release`, wanted, options);
  }

  orders(options: ListOptions = {}): Promise<ReleaseOrder[]> {
    return this.#caller.list('/v3/release-orders', options);
  }

  getOrder(id: string, options: CallOptions = {}): Promise<ReleaseOrder> {
    return this.#caller.call('GET', `/v3/release-orders/${encodeURIComponent(id)}`, undefined, options);
  }
}

function deviceUrl(id: string): string {
  return `/v3/devices/${encodeURIComponent(id)}/release`;
}
