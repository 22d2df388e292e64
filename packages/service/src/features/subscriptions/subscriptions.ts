// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import type { Lwm2mResponse } from '@mbl/lwm2m';
import { formatPath } from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import { Gathering } from '../../infra/gathering.ts';
import { persistently } from '../../infra/persistently.ts';
import type { DeviceSession, Reach } from '../connections/session.ts';
import type { AsyncResponse, Publish } from '../notifications/message.ts';
import type { DeviceRequests } from '../requests/device-requests.ts';
import { RequestFailure, statusOf } from '../requests/failure.ts';
import { toMediaType } from '../requests/media-types.ts';
import { failed } from '../requests/raw-request.ts';
import { type Kept, readKept, readPresubscriptions } from './kept.ts';
import type { Presubscription } from './table.ts';

export interface SubscriptionParts {
  readonly requests: DeviceRequests;
  readonly reach: Reach;
  readonly publish: Publish;
}

/**
 * Observed resources (RFC 7641). A subscription is kept until it is deleted: it is made again whenever its device registers.
 * That is more than Pelion keeps, where a full registration ends subscriptions.
 */
export class Subscriptions {
  readonly #context: Context;
  readonly #requests: DeviceRequests;
  readonly #reach: Reach;
  readonly #publish: Publish;
  readonly #kept: Gathering<string, Kept>;

  constructor(context: Context, { requests, reach, publish }: SubscriptionParts) {
    this.#context = context;
    this.#requests = requests;
    this.#reach = reach;
    this.#publish = publish;
    this.#kept = new Gathering((deviceIds) => readKept(context, deviceIds));
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

  /** No channel outlives the service, and no subscription its channels. */
  async start(): Promise<void> {
    await this.#context.db.deleteFrom('subscriptions').where('channels', 'is not', null).execute();
  }

  /**
   * Subscribes: until the last of the channels that asked has ended, or, when asked without one, until it is removed. Gives
   * undefined when it was subscribed already, otherwise the id under which the first value, or the refusal, comes as an async
   * response. A device that refuses ends the subscription.
   */
  async add(deviceId: string, path: string, channel?: string): Promise<string | undefined> {
    const channels = channel === undefined ? null : [channel];
    const row = await this.#context.db
      .insertInto('subscriptions')
      .values({ device_id: deviceId, path, created_at: new Date(this.#context.now()), channels })
      .onConflict((conflict) =>
        conflict.columns(['device_id', 'path']).doUpdateSet({
          channels:
            channel === undefined
              ? null
              : sql`case when subscriptions.channels is not null
                  then array_append(array_remove(subscriptions.channels, ${channel}), ${channel}) end`,
        }),
      )
      // A row that was there has been locked by its update.
      .returning(sql<boolean>`xmax = 0`.as('added'))
      .executeTakeFirstOrThrow();
    if (!row.added) return undefined;
    const id = `${this.#context.newId()}@${deviceId}`;
    const log = (error: unknown) =>
      this.#context.log.error('A subscription failed', { error, deviceId, path });
    this.#observe(deviceId, path, () => this.has(deviceId, path))
      .then(({ first }) => asyncResponse(id, first))
      .catch(async (error: unknown) => {
        const lasting = !(error instanceof RequestFailure && error.transient);
        if (lasting) await this.#forget(deviceId, path).catch(log);
        return failed(id, error);
      })
      .then((response) => this.#publish({ 'async-responses': [response] }))
      .catch(log);
    return id;
  }

  async remove(deviceId: string, path: string): Promise<void> {
    await this.#forget(deviceId, path);
    await this.#cancel(deviceId, path);
  }

  /** A channel has ended: what nobody else subscribed ends with it. */
  async release(channel: string): Promise<void> {
    const ended = await this.#context.db.transaction().execute(async (db) => {
      await db
        .updateTable('subscriptions')
        .set({ channels: sql`array_remove(channels, ${channel})` })
        .where(sql<boolean>`${channel} = any(channels)`)
        .execute();
      return db
        .deleteFrom('subscriptions')
        .where(sql<boolean>`channels = '{}'`)
        .returning(['device_id', 'path'])
        .execute();
    });
    for (const { device_id, path } of ended) await this.#cancel(device_id, path);
  }

  async #cancel(deviceId: string, path: string): Promise<void> {
    const subscribed = this.#reach(deviceId)?.subscribed;
    const observation = subscribed?.get(path);
    subscribed?.delete(path);
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

  /** The device has registered: what is subscribed is observed anew. Never throws: what cannot be restored goes to the log. */
  async restore(device: DeviceSession): Promise<void> {
    await this.#restore(device).catch((error: unknown) => {
      this.#context.log.error('Subscriptions could not be restored', { error });
    });
  }

  async #restore(device: DeviceSession): Promise<void> {
    const { deviceId } = device.identity;
    // Where it has another session meanwhile, it is restored for that.
    const current = () => !device.over;
    const kept = await persistently(() => this.#kept.ask(deviceId), current);
    if (kept === undefined) return;
    const presubscribed = covered(kept.presubscriptions, device);
    for (const path of new Set([...kept.subscribed, ...presubscribed])) {
      if (!current()) return;
      try {
        const wanted = async () => presubscribed.includes(path) || (await this.has(deviceId, path));
        const { session, first } = await this.#observe(deviceId, path, wanted, true);
        // What changed while nobody observed is told now.
        if (!session.over && session.subscribed.has(path)) this.#notified(session, path, first);
      } catch (error) {
        const { message } = error as Error;
        this.#context.log.warn('A subscription could not be restored', { deviceId, path, reason: message });
      }
    }
  }

  /** Observes in the place of an earlier observation, and no longer than `wanted`. */
  async #observe(
    deviceId: string,
    path: string,
    wanted: () => Promise<boolean>,
    own = false,
  ): Promise<{ session: DeviceSession; first: Lwm2mResponse }> {
    const send = async (session: DeviceSession, signal: AbortSignal) => {
      const listener = (notification: Lwm2mResponse) => this.#notified(session, path, notification);
      const observation = await session.observe(path, listener, { signal });
      observation.first.check();
      await this.#cancel(deviceId, path);
      session.subscribed.set(path, observation);
      return { session, observation };
    };
    const { session, observation } = await this.#requests.run(deviceId, send, { own });
    // Whoever removes it later finds it; who did so while the device was asked did not. No longer than it is observed: another question
    // has to be answered then.
    const observed = () => !session.over && session.subscribed.get(path) === observation;
    if ((await persistently(wanted, observed)) === false && observed()) await this.#cancel(deviceId, path);
    return { session, first: observation.first };
  }

  #notified({ identity, subscribed }: DeviceSession, path: string, notification: Lwm2mResponse): void {
    // RFC 7641 §4.2: an error ends the observation.
    if (!notification.ok) return void subscribed.delete(path);
    this.#publish({
      notifications: [
        {
          ep: identity.deviceId,
          path,
          ct: toMediaType(notification.contentFormat),
          payload: Buffer.from(notification.payload).toString('base64'),
          'max-age': String(notification.maxAge),
          timestamp: this.#context.now(),
          'original-ep': identity.endpointName,
        },
      ],
    });
  }

  async presubscriptions(): Promise<Presubscription[]> {
    return await readPresubscriptions(this.#context);
  }

  async setPresubscriptions(entries: readonly Presubscription[]): Promise<void> {
    const json = JSON.stringify(entries);
    await this.#context.db
      .insertInto('presubscriptions')
      .values({ account_id: this.#context.accountId, entries: json })
      .onConflict((conflict) => conflict.column('account_id').doUpdateSet({ entries: json }))
      .execute();
  }
}

/** The paths of a device that entries name. */
function covered(entries: readonly Presubscription[], device: DeviceSession): string[] {
  const registered = device.paths.map(formatPath);
  return entries
    .filter((entry) => covers(entry['endpoint-name'], device.identity.endpointName))
    .filter((entry) => covers(entry['endpoint-type'], device.parameters.get('et') ?? 'default'))
    .flatMap((entry) => entry['resource-path'] ?? [])
    .flatMap((path) => (path.endsWith('*') ? registered.filter((one) => covers(path, one)) : [path]));
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
    'max-age': String(first.maxAge),
  };
}
