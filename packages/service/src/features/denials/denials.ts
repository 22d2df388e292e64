// SPDX-License-Identifier: Apache-2.0
import { isEndpointName } from '@mbl/formats';
import { sql } from 'kysely';
import type { Context } from '../../context.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import type { Door } from './table.ts';

/** Why somebody was turned away. The words are stable: they are in the API and in the log. */
export type DenialReason =
  | 'no-certificate'
  | 'foreign-certificate'
  | 'expired-certificate'
  | 'revoked-certificate'
  | 'superseded-certificate'
  | 'unknown-certificate'
  | 'suspended'
  | 'name-mismatch'
  | 'already-connected'
  | 'other-key'
  | 'wrong-code'
  | 'expired-code'
  | 'used-code'
  | 'bad-request';

export interface Denial {
  door: Door;
  reason: DenialReason;
  description: string;
  /** The name that the peer gave itself: proved by nothing. */
  endpointName: string | undefined;
  /** SHA-256 of the certificate, or of the key, that was shown. */
  fingerprint?: string | undefined;
  remoteAddress: string;
}

/** Most rows that are kept of each reason at each door, the oldest go first: strangers, of whom anybody can make any number, evict no clone. */
const keep = 1000;

/** How many are written between two looks at whether some have to go. */
const pruneEvery = 100;

/**
 * Most that are written down in a minute of each reason at each door, and most lines of the log. A flood must fill neither the disk nor
 * a device's history, and whoever can make one must not hide another refusal in it.
 */
const floodLimit = 200;

/** These mean that somebody else holds, or pretends to hold, the identity of a device that we know. */
const cloneReasons: readonly DenialReason[] = [
  'already-connected',
  'other-key',
  'used-code',
  'superseded-certificate',
];

/** The record of everybody who was turned away, known device or not. */
export class Denials {
  readonly #context: Context;
  readonly #events: EventRecorder;
  #minute = 0;
  /** Of this minute, by door and reason. */
  #refused = new Map<string, Flood>();
  readonly #written = new Map<string, number>();

  constructor(context: Context, events: EventRecorder) {
    this.#context = context;
    this.#events = events;
  }

  /**
   * Writes a refusal down: in the log, in the list of denials, and, when the name is that of a device, as an event of that
   * device. The same refusal within a minute is counted, not repeated.
   */
  async record(denial: Denial): Promise<void> {
    const { db, newId, now, accountId, log } = this.#context;
    const at = new Date(now());
    const endpointName = isEndpointName(denial.endpointName ?? '') ? (denial.endpointName ?? '') : '';
    const { door, reason, description, remoteAddress } = denial;
    const flood = this.#flood(denial, at);
    flood.told += 1;
    if (flood.told <= floodLimit)
      log.warn('Refused', {
        door,
        reason,
        description,
        endpointName,
        fingerprint: denial.fingerprint,
        remoteAddress,
      });
    if (flood.told === floodLimit)
      log.warn('More refusals of this kind are left out until the minute is over', { door, reason });
    if (flood.written >= floodLimit) return;
    flood.written += 1;
    const known =
      endpointName === ''
        ? undefined
        : await db
            .selectFrom('devices')
            .select('id')
            .where('account_id', '=', accountId)
            .where('endpoint_name', '=', endpointName)
            .executeTakeFirst();
    const id = newId();
    const kept = await db
      .insertInto('denials')
      .values({
        id,
        account_id: accountId,
        endpoint_name: endpointName,
        device_id: known?.id ?? null,
        door,
        reason,
        description,
        fingerprint: denial.fingerprint ?? '',
        remote_address: remoteAddress,
        created_at: at,
        last_at: at,
        minute: Math.floor(at.getTime() / 60_000),
      })
      .onConflict((conflict) =>
        conflict
          .columns([
            'account_id',
            'endpoint_name',
            'door',
            'reason',
            'fingerprint',
            'remote_address',
            'minute',
          ])
          .doUpdateSet({ times: sql`denials.times + 1`, last_at: at }),
      )
      .returning('id')
      .executeTakeFirstOrThrow();
    if (kept.id !== id) {
      // A repeat takes no room.
      flood.written -= 1;
      return;
    }
    if (known !== undefined) {
      const refused = door === 'est' ? 'device.enrolment-refused' : 'device.connection-refused';
      await this.#events.record({
        type: cloneReasons.includes(reason) ? 'device.clone-suspected' : refused,
        deviceId: known.id,
        endpointName,
        description,
        data: { reason, door, remote_address: remoteAddress, fingerprint: denial.fingerprint ?? '' },
      });
    }
    await this.#prune(denial);
  }

  /** What there was of a kind in this minute. The log is told of a minute that is over how many lines it was spared. */
  #flood({ door, reason }: Denial, at: Date): Flood {
    const minute = Math.floor(at.getTime() / 60_000);
    if (minute !== this.#minute) {
      for (const { told, ...kind } of this.#refused.values())
        if (told > floodLimit)
          this.#context.log.warn('Refusals were left out', {
            door: kind.door,
            reason: kind.reason,
            count: told - floodLimit,
          });
      this.#refused = new Map();
    }
    this.#minute = minute;
    const key = `${door} ${reason}`;
    const flood = this.#refused.get(key) ?? { door, reason, told: 0, written: 0 };
    this.#refused.set(key, flood);
    return flood;
  }

  async #prune({ door, reason }: Denial): Promise<void> {
    const key = `${door} ${reason}`;
    const written = (this.#written.get(key) ?? 0) + 1;
    this.#written.set(key, written % pruneEvery);
    if (written < pruneEvery) return;
    const { db, accountId } = this.#context;
    await db
      .deleteFrom('denials')
      .where('account_id', '=', accountId)
      .where('door', '=', door)
      .where('reason', '=', reason)
      .where('id', '<=', (query) =>
        query
          .selectFrom('denials as newer')
          .select('newer.id')
          .where('newer.account_id', '=', accountId)
          .where('newer.door', '=', door)
          .where('newer.reason', '=', reason)
          .orderBy('newer.id', 'desc')
          .offset(keep)
          .limit(1),
      )
      .execute();
  }
}

interface Flood {
  readonly door: Door;
  readonly reason: DenialReason;
  /** Refused, and so to be in the log. */
  told: number;
  /** Written into the list. */
  written: number;
}
