// SPDX-License-Identifier: Apache-2.0
import type { Caller, CallOptions, ListOptions } from './caller.ts';
import type {
  AppAction,
  AppAnswerView,
  CatalogueApp,
  DeviceApp,
  DeviceAppRelease,
  DeviceApps,
  GroupAppRelease,
  ReleaseWanted,
} from './types.ts';

/** What goes with something that an app is to do once. */
export interface AskFields {
  /** `run`: program and arguments, and seconds until it is killed. */
  readonly command?: readonly string[];
  readonly timeout?: number;
  /** `log`: what comes after the cursor; at most so many lines. */
  readonly cursor?: string;
  readonly lines?: number;
}

/** Longer than the service waits for a device. */
const askTimeoutMs = 360_000;

/** Apps of devices. */
export class AppCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** What a device is to have, beside what it has. */
  ofDevice(id: string, options: CallOptions = {}): Promise<DeviceApps> {
    return this.#caller.call('GET', deviceUrl(id), undefined, options);
  }

  order(
    id: string,
    team: string,
    wanted: ReleaseWanted,
    options: CallOptions = {},
  ): Promise<DeviceAppRelease> {
    return this.#caller.call('PUT', `${deviceUrl(id)}/${encodeURIComponent(team)}`, wanted, options);
  }

  /** Ends the device's own order for a team. */
  end(id: string, team: string, options: CallOptions = {}): Promise<DeviceApps> {
    return this.#caller.call('DELETE', `${deviceUrl(id)}/${encodeURIComponent(team)}`, undefined, options);
  }

  /** The orders of a group, and how they fare. */
  listGroup(id: string, options: CallOptions = {}): Promise<GroupAppRelease[]> {
    return this.#caller.call('GET', `/v3/device-groups/${encodeURIComponent(id)}/apps`, undefined, options);
  }

  /** Throws `service/not-found` where the group has no order for the team. */
  ofGroup(id: string, team: string, options: CallOptions = {}): Promise<GroupAppRelease> {
    return this.#caller.call('GET', groupUrl(id, team), undefined, options);
  }

  orderGroup(
    id: string,
    team: string,
    wanted: ReleaseWanted,
    options: CallOptions = {},
  ): Promise<GroupAppRelease> {
    return this.#caller.call('PUT', groupUrl(id, team), wanted, options);
  }

  endGroup(id: string, team: string, options: CallOptions = {}): Promise<GroupAppRelease> {
    return this.#caller.call('DELETE', groupUrl(id, team), undefined, options);
  }

  /** Which app in which version is where. */
  catalogue(options: ListOptions = {}): Promise<CatalogueApp[]> {
    return this.#caller.list('/v3/apps', options);
  }

  /** The devices that have an app, and how it does there. */
  devices(app: string, options: ListOptions = {}): Promise<DeviceApp[]> {
    return this.#caller.list(`/v3/apps/${encodeURIComponent(app)}/devices`, options);
  }

  /** Has an app (with `rollback` a team) do something once, and waits for what comes of it. Throws `service/conflict` with the device's sentence. */
  ask(
    id: string,
    name: string,
    action: AppAction,
    fields: AskFields = {},
    options: CallOptions = {},
  ): Promise<AppAnswerView> {
    const url = `${deviceUrl(id)}/${encodeURIComponent(name)}/${action}`;
    return this.#caller.call('POST', url, fields, { timeoutMs: askTimeoutMs, ...options });
  }
}

function deviceUrl(id: string): string {
  return `/v3/devices/${encodeURIComponent(id)}/apps`;
}

function groupUrl(id: string, team: string): string {
  return `/v3/device-groups/${encodeURIComponent(id)}/apps/${encodeURIComponent(team)}`;
}
