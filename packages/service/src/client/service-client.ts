// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { MblError } from '@mbl/trust';
import { AppCalls } from './app-calls.ts';
import type { Caller, CallOptions, ListOptions } from './caller.ts';
import { GroupCalls } from './group-calls.ts';
import { ReleaseCalls } from './release-calls.ts';
import type {
  Denial,
  Device,
  DeviceEvent,
  Enrolment,
  RearmedEnrolment,
  RegisteredLink,
  ResourceValue,
} from './types.ts';
import { openWatch, type Watch } from './watch.ts';

export interface ServiceClientOptions {
  /** For example `http://127.0.0.1:8080`; the field `http` of `service.json`. */
  readonly url: string;
  readonly apiKey: string;
  /** How long one call may take, in milliseconds. */
  readonly timeoutMs?: number;
}

export interface WatchOptions extends CallOptions {
  /** Resources to observe while watching, for example `/3/0/13`. */
  readonly resources?: readonly { deviceId: string; path: string }[];
}

const defaultTimeoutMs = 60_000;
const pageSize = 500;

/** The service's REST API for programs. Every failure is an `MblError`; `details.status` is the HTTP status. */
export class ServiceClient {
  readonly releases: ReleaseCalls;
  readonly groups: GroupCalls;
  readonly apps: AppCalls;
  readonly #options: ServiceClientOptions;

  constructor(options: ServiceClientOptions) {
    this.#options = options;
    const caller: Caller = {
      call: (method, path, body, call) => this.#call(method, path, body, call),
      list: (path, list) => this.#list(path, list),
      send: async (method, path, body, call) => void (await this.#call(method, path, body, call)),
    };
    this.releases = new ReleaseCalls(caller);
    this.groups = new GroupCalls(caller);
    this.apps = new AppCalls(caller);
  }

  listDevices(options: ListOptions = {}): Promise<Device[]> {
    return this.#list<Device>('/v3/devices', options);
  }

  getDevice(id: string, options: CallOptions = {}): Promise<Device> {
    return this.#call<Device>('GET', `/v3/devices/${encodeURIComponent(id)}`, undefined, options);
  }

  /** The device that has this id or this endpoint name. Throws `service/no-such-device`. */
  async findDevice(idOrName: string, options: CallOptions = {}): Promise<Device> {
    const byName = await this.listDevices({ ...options, filter: { endpoint_name__eq: idOrName }, limit: 1 });
    const byId =
      byName[0] ?? (await this.listDevices({ ...options, filter: { id__eq: idOrName }, limit: 1 }))[0];
    if (byId !== undefined) return byId;
    throw new MblError('service/no-such-device', `There is no device ${idOrName}`, {
      remedy: 'See which there are: ./mbl device list',
    });
  }

  async deleteDevice(id: string, options: CallOptions = {}): Promise<void> {
    await this.#call('DELETE', `/v3/devices/${encodeURIComponent(id)}`, undefined, options);
  }

  async suspendDevice(
    id: string,
    category: string,
    description = '',
    options: CallOptions = {},
  ): Promise<void> {
    await this.#call(
      'POST',
      `/v3/devices/${encodeURIComponent(id)}/suspend`,
      { category, description },
      options,
    );
  }

  async resumeDevice(
    id: string,
    category: string,
    description = '',
    options: CallOptions = {},
  ): Promise<void> {
    await this.#call(
      'POST',
      `/v3/devices/${encodeURIComponent(id)}/resume`,
      { category, description },
      options,
    );
  }

  /** Revokes every certificate of a device and ends its connection. Gives how many there were. */
  async revokeCertificates(id: string, reason: string, options: CallOptions = {}): Promise<number> {
    const path = `/v3/devices/${encodeURIComponent(id)}/certificates/revoke`;
    return (await this.#call<{ revoked: number }>('POST', path, { reason }, options)).revoked;
  }

  /** Makes a one-time code, and the device when there is none of this name. */
  createEnrolment(
    endpointName: string,
    options: CallOptions & { expiresAt?: Date } = {},
  ): Promise<Enrolment> {
    const expires = options.expiresAt === undefined ? {} : { expires_at: options.expiresAt.toISOString() };
    return this.#call(
      'POST',
      '/v3/device-enrolment-codes',
      { endpoint_name: endpointName, ...expires },
      options,
    );
  }

  /**
   * Lets the code with which a device enrolled last be used once more, in the next 24 hours or until `expiresAt`: for a device that
   * lost its key. Gives when that ends. Throws `service/no-used-code`, `service/conflict` where it may not.
   */
  async rearmEnrolment(
    endpointName: string,
    { signal, expiresAt }: CallOptions & { expiresAt?: Date } = {},
  ): Promise<RearmedEnrolment> {
    const codes = await this.#list<RearmedEnrolment>('/v3/device-enrolment-codes', {
      signal,
      filter: { endpoint_name__eq: endpointName },
    });
    const [last] = codes
      .filter(({ claimed_at }) => claimed_at !== null)
      .toSorted((a, b) => Date.parse(b.claimed_at ?? '') - Date.parse(a.claimed_at ?? ''));
    if (last === undefined) {
      throw new MblError('service/no-used-code', `No enrolment code of ${endpointName} was used`, {
        remedy: `Make its first code: ./mbl device enrol ${endpointName}`,
      });
    }
    const body = expiresAt === undefined ? {} : { expires_at: expiresAt.toISOString() };
    return this.#call('POST', `/v3/device-enrolment-codes/${encodeURIComponent(last.id)}/rearm`, body, {
      signal,
    });
  }

  listEvents(options: ListOptions = {}): Promise<DeviceEvent[]> {
    return this.#list<DeviceEvent>('/v3/device-events', options);
  }

  /** Who was refused, at enrolment or at the connection. */
  listDenials(options: ListOptions = {}): Promise<Denial[]> {
    return this.#list<Denial>('/v3/device-enrollment-denials', options);
  }

  /** The objects and instances that a device registered. */
  listResources(id: string, options: CallOptions = {}): Promise<RegisteredLink[]> {
    return this.#call('GET', `/v2/endpoints/${encodeURIComponent(id)}`, undefined, options);
  }

  /** Reads a resource, an instance or an object from the device. */
  async read(id: string, path: string, options: CallOptions = {}): Promise<ResourceValue[]> {
    return (
      await this.#call<{ resources: ResourceValue[] }>('GET', resourceUrl(id, path), undefined, options)
    ).resources;
  }

  /** Writes one resource. Text is read as the resource's type: `"300"`, `"true"`, base64. */
  async write(
    id: string,
    path: string,
    value: string | number | boolean,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#call('PUT', resourceUrl(id, path), { value }, options);
  }

  async execute(id: string, path: string, args?: string, options: CallOptions = {}): Promise<void> {
    await this.#call('POST', resourceUrl(id, path), args === undefined ? {} : { arguments: args }, options);
  }

  /** Sends any request through Pelion's asynchronous interface; the answer comes to a watch, under `asyncId`. */
  async requestAsync(
    id: string,
    asyncId: string,
    request: {
      method: string;
      uri: string;
      'content-type'?: string;
      accept?: string;
      'payload-b64'?: string;
    },
    options: CallOptions = {},
  ): Promise<void> {
    const query = new URLSearchParams({ 'async-id': asyncId });
    await this.#call(
      'POST',
      `/v2/device-requests/${encodeURIComponent(id)}?${query.toString()}`,
      request,
      options,
    );
  }

  /** Subscribes to a resource. False when it was subscribed already. */
  async subscribe(id: string, path: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.#call<object | null>('PUT', subscriptionUrl(id, path), undefined, options)) !== null;
  }

  async unsubscribe(id: string, path: string, options: CallOptions = {}): Promise<void> {
    await this.#call('DELETE', subscriptionUrl(id, path), undefined, options);
  }

  /**
   * Opens a stream of everything that happens from now on. Resolves when it is open; iterate it, dispose it. Subscriptions that
   * only it made end with it, however it ends.
   */
  async watch({ signal, resources = [] }: WatchOptions = {}): Promise<Watch> {
    const channel = randomBytes(12).toString('hex');
    const url = new URL(`/v2/notification/websocket-connect?channel=${channel}`, this.#options.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const watch = await openWatch(url, this.#options.apiKey, signal);
    try {
      for (const { deviceId, path } of resources) {
        const bound = `${subscriptionUrl(deviceId, path)}?channel=${channel}`;
        await this.#call('PUT', bound, undefined, { signal });
      }
      return watch;
    } catch (error) {
      await watch[Symbol.asyncDispose]();
      throw error;
    }
  }

  async createApiKey(name: string, options: CallOptions = {}): Promise<{ id: string; key: string }> {
    return this.#call('POST', '/v3/api-keys', { name }, options);
  }

  async #list<Item extends { id: string }>(
    path: string,
    { filter, order, limit, signal }: ListOptions,
  ): Promise<Item[]> {
    const items: Item[] = [];
    for (let more = true; more; ) {
      const query = new URLSearchParams({ ...filter, limit: String(Math.min(pageSize, limit ?? pageSize)) });
      if (order !== undefined) query.set('order', order);
      const last = items.at(-1);
      if (last !== undefined) query.set('after', last.id);
      const page = await this.#call<{ data: Item[]; has_more: boolean }>(
        'GET',
        `${path}?${query.toString()}`,
        undefined,
        { signal },
      );
      items.push(...page.data);
      more = page.has_more && items.length < (limit ?? Number.POSITIVE_INFINITY);
    }
    return items.slice(0, limit);
  }

  async #call<T>(
    method: string,
    path: string,
    body: unknown,
    { signal, timeoutMs }: CallOptions,
  ): Promise<T> {
    const { url, apiKey } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs ?? this.#options.timeoutMs ?? defaultTimeoutMs);
    const raw = body instanceof Uint8Array;
    let response: Response;
    let text: string;
    try {
      response = await fetch(new URL(path, url), {
        method,
        headers: {
          authorization: `Bearer ${apiKey}`,
          ...(body === undefined
            ? {}
            : { 'content-type': raw ? 'application/octet-stream' : 'application/json' }),
        },
        ...(body === undefined ? {} : { body: raw ? Buffer.from(body) : JSON.stringify(body) }),
        signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
      });
      text = await response.text();
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new MblError('service/unreachable', `The service does not answer at ${url}`, {
        remedy: 'Start it: ./mbl up',
        cause,
      });
    }
    if (response.ok) return (text === '' ? null : JSON.parse(text)) as T;
    throw refused(response.status, text);
  }
}

function resourceUrl(id: string, path: string): string {
  return `/v3/devices/${encodeURIComponent(id)}/resources/${path.replace(/^\//, '')}`;
}

function subscriptionUrl(id: string, path: string): string {
  return `/v2/subscriptions/${encodeURIComponent(id)}/${path.replace(/^\//, '')}`;
}

interface ErrorObject {
  type?: string;
  message?: string;
  fields?: { name: string; message: string }[];
}

/** Pelion's error object under /v3, plain text under /v2. */
function refused(status: number, text: string): MblError {
  const body = parseError(text);
  const fields = (body.fields ?? []).map((field) => `${field.name}: ${field.message}`).join('; ');
  const message = `${body.message ?? `The service answered ${status}`}${fields === '' ? '' : ` (${fields})`}`;
  return new MblError(`service/${(body.type ?? 'refused').replaceAll('_', '-')}`, message, {
    ...(status === 401
      ? { remedy: 'Give a valid API key; that of the own service is in .mbl/service/service.json' }
      : {}),
    details: { status, ...body },
  });
}

function parseError(text: string): ErrorObject {
  try {
    return JSON.parse(text) as ErrorObject;
  } catch {
    return text === '' ? {} : { message: text.slice(0, 500) };
  }
}
