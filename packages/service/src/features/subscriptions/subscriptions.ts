// SPDX-License-Identifier: Apache-2.0
import type { Lwm2mResponse, Observation } from '@mbl/lwm2m';
import { formatPath } from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import type { AsyncResponse, Publish } from '../notifications/message.ts';
import type { DeviceRequests, Reachable } from '../requests/device-requests.ts';
import { RequestFailure, statusOf } from '../requests/failure.ts';
import { toMediaType } from '../requests/media-types.ts';
import { failed } from '../requests/raw-request.ts';
import type { Presubscription } from './table.ts';

/** RFC 7252 §5.10.5: how long a value is fresh when its sender does not say. */
const defaultMaxAge = '60';

/**
 * Observed resources (RFC 7641). A subscription is kept until it is deleted: it is made again whenever its device registers.
 * That is more than Pelion keeps, where a full registration ends subscriptions.
 */
export class Subscriptions {
  readonly #context: Context;
  readonly #requests: DeviceRequests;
  readonly #publish: Publish;
  /** What is observed on each device's present connection. */
  readonly #active = new Map<string, Map<string, Observation>>();

  constructor(context: Context, requests: DeviceRequests, publish: Publish) {
    this.#context = context;
    this.#requests = requests;
    this.#publish = publish;
  }

  async has(deviceId: string, path: string): Promise<boolean> {
    return (await this.list(deviceId)).includes(path);
  }

  async list(deviceId: string): Promise<string[]> {
    const rows = await this.#context.db
      .selectFrom('subscriptions')
      .select('path')
      .where('device_id', '=', deviceId)
      .orderBy('created_at')
      .execute();
    return rows.map((row) => row.path);
  }

  /**
   * Subscribes. Gives undefined when it was subscribed already, otherwise the id under which the first value, or the refusal,
   * comes as an async response. A device that refuses ends the subscription.
   */
  async add(deviceId: string, path: string): Promise<string | undefined> {
    const added = await this.#context.db
      .insertInto('subscriptions')
      .values({ device_id: deviceId, path, created_at: new Date(this.#context.now()) })
      .onConflict((conflict) => conflict.doNothing())
      .returning('path')
      .execute();
    if (added.length === 0) return undefined;
    const id = `${this.#context.newId()}@${deviceId}`;
    this.#observe(deviceId, path)
      .then((first) => asyncResponse(id, first))
      .catch(async (error: unknown) => {
        const lasting = !(error instanceof RequestFailure && error.transient);
        if (lasting) await this.#forget(deviceId, path);
        return failed(id, error);
      })
      .then((response) => this.#publish({ 'async-responses': [response] }))
      .catch((error: unknown) => this.#context.log.error('A subscription failed', { error, deviceId, path }));
    return id;
  }

  async remove(deviceId: string, path: string): Promise<void> {
    await this.#forget(deviceId, path);
    const observation = this.#active.get(deviceId)?.get(path);
    this.#active.get(deviceId)?.delete(path);
    // A device that is gone has forgotten by itself.
    await observation?.cancel().catch(() => {});
  }

  async #forget(deviceId: string, path: string): Promise<void> {
    await this.#context.db
      .deleteFrom('subscriptions')
      .where('device_id', '=', deviceId)
      .where('path', '=', path)
      .execute();
  }

  /** The device has registered: what was observed before is forgotten there, and observed anew. */
  async restore(device: Reachable): Promise<void> {
    const { deviceId } = device.identity;
    this.#active.delete(deviceId);
    const paths = new Set([...(await this.list(deviceId)), ...(await this.#presubscribed(device))]);
    for (const path of paths) {
      try {
        // What changed while nobody observed is told now.
        this.#notified(device, path, await this.#observe(deviceId, path));
      } catch (error) {
        const { message } = error as Error;
        this.#context.log.warn('A subscription could not be restored', { deviceId, path, reason: message });
      }
    }
  }

  gone(deviceId: string): void {
    this.#active.delete(deviceId);
  }

  async #observe(deviceId: string, path: string): Promise<Lwm2mResponse> {
    return this.#requests.run(deviceId, async (device, signal) => {
      const listener = (notification: Lwm2mResponse) => this.#notified(device, path, notification);
      const observation = await device.observe(path, listener, { signal });
      observation.first.check();
      const active = this.#active.get(deviceId) ?? new Map<string, Observation>();
      active.set(path, observation);
      this.#active.set(deviceId, active);
      return observation.first;
    });
  }

  #notified({ identity }: Reachable, path: string, notification: Lwm2mResponse): void {
    // RFC 7641 §4.2: an error ends the observation.
    if (!notification.ok) return void this.#active.get(identity.deviceId)?.delete(path);
    this.#publish({
      notifications: [
        {
          ep: identity.deviceId,
          path,
          ct: toMediaType(notification.contentFormat),
          payload: Buffer.from(notification.payload).toString('base64'),
          'max-age': defaultMaxAge,
          timestamp: this.#context.now(),
          'original-ep': identity.endpointName,
        },
      ],
    });
  }

  async presubscriptions(): Promise<Presubscription[]> {
    const row = await this.#context.db
      .selectFrom('presubscriptions')
      .select('entries')
      .where('account_id', '=', this.#context.accountId)
      .executeTakeFirst();
    return row?.entries ?? [];
  }

  async setPresubscriptions(entries: readonly Presubscription[]): Promise<void> {
    const json = JSON.stringify(entries);
    await this.#context.db
      .insertInto('presubscriptions')
      .values({ account_id: this.#context.accountId, entries: json })
      .onConflict((conflict) => conflict.column('account_id').doUpdateSet({ entries: json }))
      .execute();
  }

  async #presubscribed(device: Reachable): Promise<string[]> {
    const registered = device.paths.map(formatPath);
    return (await this.presubscriptions())
      .filter((entry) => covers(entry['endpoint-name'], device.endpoint))
      .filter((entry) => covers(entry['endpoint-type'], device.parameters.get('et') ?? 'default'))
      .flatMap((entry) => entry['resource-path'] ?? [])
      .flatMap((path) => (path.endsWith('*') ? registered.filter((one) => covers(path, one)) : [path]));
  }
}

function covers(pattern: string | undefined, text: string): boolean {
  if (pattern === undefined) return true;
  return pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

function asyncResponse(id: string, first: Lwm2mResponse): AsyncResponse {
  return {
    id,
    status: statusOf(first.code),
    payload: Buffer.from(first.payload).toString('base64'),
    ct: toMediaType(first.contentFormat),
    'max-age': defaultMaxAge,
  };
}
