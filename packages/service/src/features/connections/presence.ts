// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import type { Context } from '../../context.ts';
import { storable } from '../../infra/database.ts';
import type { EventOfMany, EventRecorder } from '../device-events/recorder.ts';
import type { RegisteredResource } from '../devices/table.ts';
import type { EndpointData, Publish } from '../notifications/message.ts';
import type { DeviceIdentity } from './connections.ts';
import { endLeftovers } from './presence-leftovers.ts';
import { PresenceWriter } from './presence-writer.ts';

/** What a device said when it registered or updated its registration. */
export interface RegistrationFacts {
  /** Seconds; 0 has no end. */
  readonly lifetime: number;
  readonly binding: string;
  readonly version: string;
  readonly queueMode: boolean;
  readonly endpointType: string | undefined;
  /** The parameter `keys` of the registration, where it is one that is known. */
  readonly imageKeys: 'development' | 'production' | undefined;
  readonly resources: RegisteredResource[];
}

/** Why a registration is over: `removed` is the service's doing. */
export type RegistrationEnd = 'deregistered' | 'expired' | 'removed';

const endings: Readonly<Record<RegistrationEnd, string>> = {
  deregistered: 'The device ended its registration',
  expired: 'The registration was not updated in time',
  removed: 'The device lost its right to be registered',
};

/** Overdue registrations that are looked at in one go. */
const mostInPage = 1000;

/** What the column holds: 68 years. */
const longestStoredLifetime = 2 ** 31 - 1;

type Who = Pick<DeviceIdentity, 'deviceId' | 'endpointName'>;

/** Writes down who is connected and who is registered, and tells the channels. */
export class Presence {
  readonly #context: Context;
  readonly #events: EventRecorder;
  readonly #writer: PresenceWriter;
  readonly #publish: Publish;

  constructor(context: Context, events: EventRecorder, publish: Publish) {
    this.#context = context;
    this.#events = events;
    this.#writer = new PresenceWriter(context, events);
    this.#publish = publish;
  }

  async online({ deviceId, endpointName, remoteAddress, fingerprint }: DeviceIdentity): Promise<void> {
    const columns = { online: true, last_seen: this.#time(), remote_address: remoteAddress };
    const event = {
      type: 'device.online' as const,
      deviceId,
      endpointName,
      description: `Connected from ${remoteAddress}`,
      changes: { online: true },
      data: { remote_address: remoteAddress, fingerprint },
    };
    await this.#writer.write({ deviceId, columns, event });
  }

  async offline({ deviceId, endpointName }: Who, lastSeen: number, reason: string): Promise<void> {
    const columns = { online: false, last_seen: new Date(lastSeen) };
    await this.#writer.write({
      deviceId,
      columns,
      event: { ...offlineEvent(reason), deviceId, endpointName },
    });
  }

  /** Nobody is connected to a service that has just started, whatever the last one left behind. */
  async endLeftovers(): Promise<void> {
    const ended = await endLeftovers(this.#context, this.#events, {
      offline: offlineEvent('the service ended without notice'),
      expired: registrationEndEvent('expired'),
    });
    if (ended > 0) this.#context.log.info('Ended what the last service left behind', { devices: ended });
  }

  /** From now on nobody waits long for a database that is away: the service stops. */
  giveUp(afterMs: number): void {
    this.#writer.giveUp(afterMs);
  }

  async registered(who: Who, facts: RegistrationFacts): Promise<void> {
    const columns = {
      ...this.#registrationColumns(facts),
      state: 'registered' as const,
      registered_at: this.#time(),
      // Another image may say nothing.
      image_keys: facts.imageKeys ?? null,
      ...(facts.endpointType === undefined ? {} : { endpoint_type: storable(facts.endpointType, 64) }),
    };
    const event = {
      type: 'device.registered' as const,
      deviceId: who.deviceId,
      endpointName: who.endpointName,
      description: facts.lifetime === 0 ? 'Registered without an end' : `Registered for ${facts.lifetime} s`,
      changes: { state: 'registered' },
    };
    await this.#writer.write({ deviceId: who.deviceId, columns, event });
    this.#publish({ registrations: [endpointData(who, facts)] });
  }

  async updated(who: Who, facts: RegistrationFacts): Promise<void> {
    await this.#writer.write({ deviceId: who.deviceId, columns: this.#registrationColumns(facts) });
    this.#publish({ 'reg-updates': [endpointData(who, facts)] });
  }

  /** The registration ended; nothing happens when it had ended before, or was not to end before `overdueAt`. */
  async deregistered({ deviceId, endpointName }: Who, how: RegistrationEnd, overdueAt?: Date): Promise<void> {
    const event = { ...registrationEndEvent(how), deviceId, endpointName };
    const columns = { state: 'deregistered' as const, registration_expires_at: null };
    if (!(await this.#writer.write({ deviceId, columns, ifRegistered: { overdueAt }, event }))) return;
    this.#publish(
      how === 'expired' ? { 'registrations-expired': [deviceId] } : { 'de-registrations': [deviceId] },
    );
  }

  /**
   * Ends registrations that ran out while no service, or another one, was there to notice. Those that are `held` have a timer
   * of their own, which a step of the clock, or a sleep of this machine, does not touch.
   */
  async expireRegistrations(held: ReadonlySet<string>): Promise<void> {
    const now = this.#time();
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page = await this.#context.db
        .selectFrom('devices')
        .select(['id', 'endpoint_name'])
        .where('account_id', '=', this.#context.accountId)
        .where('state', '=', 'registered')
        .where('registration_expires_at', '<', now)
        .where('id', '>', after)
        .orderBy('id')
        .limit(mostInPage)
        .execute();
      await Promise.all(
        page
          .filter(({ id }) => !held.has(id))
          .map(({ id, endpoint_name }) =>
            this.deregistered({ deviceId: id, endpointName: endpoint_name ?? '' }, 'expired', now),
          ),
      );
      after = page.length < mostInPage ? undefined : page.at(-1)?.id;
    }
  }

  /** Writes down when connected devices were last heard, all in one statement. */
  async saveLastSeen(seen: readonly { deviceId: string; lastSeen: number }[]): Promise<void> {
    if (seen.length === 0) return;
    const ids = seen.map((one) => one.deviceId);
    const times = seen.map((one) => new Date(one.lastSeen).toISOString());
    await sql`update devices set last_seen = heard.at
      from unnest(${ids}::text[], ${times}::timestamptz[]) as heard (id, at)
      where devices.id = heard.id and devices.online`.execute(this.#context.db);
  }

  #registrationColumns(facts: RegistrationFacts) {
    const now = this.#context.now();
    return {
      last_seen: new Date(now),
      registration_expires_at: facts.lifetime === 0 ? null : new Date(now + facts.lifetime * 1000),
      lifetime: Math.min(facts.lifetime, longestStoredLifetime),
      // LwM2M 1.0 wrote the queue mode into the binding; 1.1 says it apart.
      binding: `${storable(facts.binding.replace('Q', ''), 15)}${facts.queueMode ? 'Q' : ''}`,
      lwm2m_version: storable(facts.version, 16),
      resources: facts.resources,
    };
  }

  #time(): Date {
    return new Date(this.#context.now());
  }
}

/** Of a reason, which may be the device's own words. */
const longestReason = 500;

function offlineEvent(said: string): EventOfMany {
  const reason = storable(said, longestReason);
  return {
    type: 'device.offline',
    description: `Disconnected: ${reason}`,
    changes: { online: false },
    data: { reason },
  };
}

function registrationEndEvent(how: RegistrationEnd): EventOfMany {
  return {
    type: how === 'expired' ? 'device.registration-expired' : 'device.deregistered',
    description: endings[how],
    changes: { state: 'deregistered' },
  };
}

function endpointData({ deviceId, endpointName }: Who, facts: RegistrationFacts): EndpointData {
  return {
    ep: deviceId,
    ept: facts.endpointType ?? 'default',
    'original-ep': endpointName,
    q: facts.queueMode,
    resources: facts.resources,
  };
}
