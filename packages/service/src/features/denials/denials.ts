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

/** Most rows that are kept; the oldest go first. */
const keep = 10_000;

/**
 * Most that are written down in a minute, of strangers and of suspected clones each; the log has the rest. A flood must fill
 * neither the disk nor a device's history, and whoever can make one must not hide a clone in it.
 */
const floodLimit = 600;

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
  #written = 0;
  #minute = 0;
  #inMinute = { stranger: 0, clone: 0 };

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
    log.warn('Refused', {
      door,
      reason,
      description,
      endpointName,
      fingerprint: denial.fingerprint,
      remoteAddress,
    });
    const budget = this.#budget(at);
    const kind = cloneReasons.includes(reason) ? 'clone' : 'stranger';
    if (budget[kind] >= floodLimit) return;
    budget[kind] += 1;
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
      budget[kind] -= 1;
      return;
    }
    if (known !== undefined) {
      const refused = door === 'est' ? 'device.enrolment-refused' : 'device.connection-refused';
      await this.#events.record({
        type: kind === 'clone' ? 'device.clone-suspected' : refused,
        deviceId: known.id,
        endpointName,
        description,
        data: { reason, door, remote_address: remoteAddress, fingerprint: denial.fingerprint ?? '' },
      });
    }
    if (++this.#written % 100 === 0) await this.#prune();
  }

  /** What was written down in this minute. */
  #budget(at: Date): { stranger: number; clone: number } {
    const minute = Math.floor(at.getTime() / 60_000);
    if (minute !== this.#minute) this.#inMinute = { stranger: 0, clone: 0 };
    this.#minute = minute;
    return this.#inMinute;
  }

  async #prune(): Promise<void> {
    const { db, accountId } = this.#context;
    await db
      .deleteFrom('denials')
      .where('account_id', '=', accountId)
      .where('id', '<=', (query) =>
        query
          .selectFrom('denials as newer')
          .select('newer.id')
          .where('newer.account_id', '=', accountId)
          .orderBy('newer.id', 'desc')
          .offset(keep)
          .limit(1),
      )
      .execute();
  }
}
