// SPDX-License-Identifier: Apache-2.0
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { keyFingerprint } from '@mbl/trust';
import type { Context } from '../../context.ts';
import { HttpError, invalid } from '../../infra/http/errors.ts';
import type { Db } from '../../schema.ts';
import type { CertificateRegister } from '../certificates/register.ts';
import type { CertificateRow } from '../certificates/table.ts';
import type { DenialReason } from '../denials/denials.ts';
import type { EventRecorder, NewDeviceEvent } from '../device-events/recorder.ts';
import type { DeviceDirectory, Disconnect } from '../devices/directory.ts';
import type { DeviceRow } from '../devices/table.ts';
import type { EnrolmentCodeRow } from './table.ts';

export interface NewEnrolmentCode {
  row: EnrolmentCodeRow;
  code: string;
}

export type Claim =
  | { readonly certificate: CertificateRow; readonly repeated: boolean }
  | { readonly refused: DenialReason; readonly description: string };

/** How long a re-armed code may be used, in milliseconds: by default, and at most. */
const rearmedMs = 24 * 3_600_000;
const longestRearmedMs = 30 * 24 * 3_600_000;

export interface EnrolmentParts {
  readonly directory: DeviceDirectory;
  readonly register: CertificateRegister;
  readonly events: EventRecorder;
  readonly disconnect: Disconnect;
}

/** One-time codes: the right to have one key certified under one endpoint name. */
export class EnrolmentCodes {
  readonly #context: Context;
  readonly #parts: EnrolmentParts;

  constructor(context: Context, parts: EnrolmentParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Makes a code for a device, and the device when there is none of this name. */
  async create(endpointName: string, expiresAt?: Date): Promise<NewEnrolmentCode> {
    const { db, now, newId, accountId } = this.#context;
    const { directory } = this.#parts;
    const device =
      (await directory.findByEndpointName(endpointName)) ?? (await this.#addDevice(endpointName));
    const code = randomBytes(20).toString('base64url');
    const row: EnrolmentCodeRow = {
      id: newId(),
      account_id: accountId,
      device_id: device.id,
      endpoint_name: endpointName,
      hash: hashCode(code),
      created_at: new Date(now()),
      expires_at: expiresAt ?? null,
      claimed_at: null,
      key_fingerprint: null,
      certificate_id: null,
      rearmed_until: null,
    };
    await db.insertInto('enrolment_codes').values(row).execute();
    await db
      .updateTable('devices')
      .set({ state: 'cloud_enrolling' })
      .where('id', '=', device.id)
      .where('state', '=', 'unenrolled')
      .execute();
    return { row, code };
  }

  async #addDevice(endpointName: string): Promise<DeviceRow> {
    const { directory } = this.#parts;
    try {
      return await directory.create({ endpoint_name: endpointName });
    } catch (error) {
      // Somebody else added it in this moment.
      const made = error instanceof HttpError ? await directory.findByEndpointName(endpointName) : undefined;
      if (made === undefined) throw error;
      return made;
    }
  }

  /**
   * Lets a code that was used be used once more, by a device that lost its key: until then, in 24 hours when absent, at most in
   * 30 days. Asking again moves the end. Throws `HttpError`: no such code, a code that works as it is, a device that is
   * suspended, a certificate that was revoked.
   */
  async rearm(id: string, until?: Date): Promise<EnrolmentCodeRow> {
    const { now, accountId } = this.#context;
    const end = until ?? new Date(now() + rearmedMs);
    if (end.getTime() <= now() || end.getTime() > now() + longestRearmedMs) {
      throw invalid([{ name: 'expires_at', message: 'It must be within the next 30 days' }]);
    }
    return this.#parts.events.transaction(async (db, record) => {
      const row = await db
        .selectFrom('enrolment_codes')
        .selectAll()
        .where('account_id', '=', accountId)
        .where('id', '=', id)
        .forUpdate()
        .executeTakeFirst();
      if (row === undefined) throw new HttpError('not_found', 'No such enrolment code');
      if (row.claimed_at === null && !hasPassed(row.expires_at, now())) {
        throw new HttpError('conflict', 'The enrolment code was not used yet: it is accepted as it is');
      }
      const device = await lockDevice(db, row.device_id);
      if (device.lifecycle_status === 'blocked') {
        throw new HttpError('conflict', 'The device is suspended: resume it first');
      }
      if (await isRevoked(db, row)) {
        throw new HttpError(
          'conflict',
          'The certificate that this code gave was revoked: make a new code for the device',
        );
      }
      await db.updateTable('enrolment_codes').set({ rearmed_until: end }).where('id', '=', id).execute();
      await record({
        type: 'device.enrolment-rearmed',
        deviceId: row.device_id,
        endpointName: row.endpoint_name,
        description: `The enrolment code is accepted once more until ${end.toISOString()}`,
        data: { code_id: id, until: end.toISOString() },
      });
      return { ...row, rearmed_until: end };
    });
  }

  /**
   * Certifies a key for the holder of a code. A code works for one key: the same key gets the same certificate again (the
   * answer may have been lost), another key is refused. A code that was re-armed works for one more key, which replaces the first.
   */
  async claim(endpointName: string, code: string, publicKey: KeyObject): Promise<Claim> {
    const claimed = await this.#parts.events.transaction((db, record) =>
      this.#claim(db, record, endpointName, code, publicKey),
    );
    // A device that was enrolled before is somebody else now, even while its old connection lives.
    if ('certificate' in claimed && !claimed.repeated)
      this.#parts.disconnect(
        { id: claimed.certificate.device_id, endpoint_name: endpointName },
        'the device was enrolled again',
      );
    return claimed;
  }

  async #claim(
    db: Db,
    record: (event: NewDeviceEvent) => Promise<void>,
    endpointName: string,
    code: string,
    publicKey: KeyObject,
  ): Promise<Claim> {
    const { now, accountId } = this.#context;
    const row = await db
      .selectFrom('enrolment_codes')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('hash', '=', hashCode(code))
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined || row.endpoint_name !== endpointName) {
      return { refused: 'wrong-code', description: 'The enrolment code is not one for this endpoint name' };
    }
    const again = row.rearmed_until !== null && !hasPassed(row.rearmed_until, now());
    if (row.claimed_at !== null) {
      const answer = await this.#repeat(db, row, publicKey);
      if ('certificate' in answer || !again) return answer;
    } else if (!again && hasPassed(row.expires_at, now())) {
      return { refused: 'expired-code', description: 'The enrolment code has expired' };
    }
    const device = await lockDevice(db, row.device_id);
    if (device.lifecycle_status === 'blocked')
      return { refused: 'suspended', description: 'The device is suspended' };
    // With the device locked: whoever revokes does it before, and is obeyed, or after, and revokes the new certificate too.
    if (await isRevoked(db, row))
      return { refused: 'used-code', description: 'The certificate that this code gave was revoked' };
    await this.#parts.register.supersede(device.id, db);
    const certificate = await this.#parts.register.issue(device, publicKey, db);
    const at = new Date(now());
    await db
      .updateTable('enrolment_codes')
      .set({
        claimed_at: at,
        key_fingerprint: keyFingerprint(publicKey),
        certificate_id: certificate.id,
        rearmed_until: null,
      })
      .where('id', '=', row.id)
      .execute();
    await db
      .updateTable('devices')
      .set({
        state: 'bootstrapped',
        bootstrapped_timestamp: at,
        enrolment_list_timestamp: row.created_at,
        updated_at: at,
      })
      .where('id', '=', device.id)
      .execute();
    await record({
      type: 'device.enrolled',
      deviceId: device.id,
      endpointName,
      description: again
        ? 'The device was given a new certificate by its re-armed code'
        : 'The device was given its certificate',
      changes: { state: 'bootstrapped', device_key: certificate.fingerprint },
      data: {
        fingerprint: certificate.fingerprint,
        ...(again && device.device_key !== null ? { replaced: device.device_key } : {}),
      },
    });
    return { certificate, repeated: false };
  }

  async #repeat(db: Db, row: EnrolmentCodeRow, publicKey: KeyObject): Promise<Claim> {
    if (row.key_fingerprint !== keyFingerprint(publicKey)) {
      return {
        refused: 'used-code',
        description: `The enrolment code was used before, for another key${
          row.rearmed_until === null
            ? ''
            : `; until ${row.rearmed_until.toISOString()} it was accepted once more`
        }`,
      };
    }
    const certificate = await db
      .selectFrom('device_certificates')
      .selectAll()
      .where('id', '=', row.certificate_id)
      .where('status', 'in', ['issued', 'active'])
      .where('not_after', '>', new Date(this.#context.now()))
      .executeTakeFirst();
    if (certificate !== undefined) return { certificate, repeated: true };
    return {
      refused: 'used-code',
      description: 'The certificate that this code gave has ended, or was revoked or replaced',
    };
  }
}

function hasPassed(end: Date | null, now: number): boolean {
  return end !== null && end.getTime() <= now;
}

function lockDevice(db: Db, id: string): Promise<DeviceRow> {
  return db.selectFrom('devices').selectAll().where('id', '=', id).forUpdate().executeTakeFirstOrThrow();
}

/** Whether the owner took back what the code gave: nobody gets it again by the same code. */
async function isRevoked(db: Db, row: EnrolmentCodeRow): Promise<boolean> {
  const given = await db
    .selectFrom('device_certificates')
    .select('status')
    .where('id', '=', row.certificate_id)
    .executeTakeFirst();
  return given?.status === 'revoked';
}

function hashCode(code: string): string {
  return createHash('sha256').update(code).digest('hex');
}
