// SPDX-License-Identifier: Apache-2.0
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { keyFingerprint } from '@mbl/trust';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
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
   * Certifies a key for the holder of a code. A code works for one key: the same key gets the same certificate again (the
   * answer may have been lost), another key is refused.
   */
  async claim(endpointName: string, code: string, publicKey: KeyObject): Promise<Claim> {
    const claimed = await this.#parts.events.transaction((db, record) =>
      this.#claim(db, record, endpointName, code, publicKey),
    );
    // A device that was enrolled before is somebody else now, even while its old connection lives.
    if ('certificate' in claimed && !claimed.repeated)
      this.#parts.disconnect(claimed.certificate.device_id, 'the device was enrolled again');
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
    if (row.claimed_at !== null) return this.#repeat(db, row, publicKey);
    if (row.expires_at !== null && row.expires_at.getTime() <= now()) {
      return { refused: 'expired-code', description: 'The enrolment code has expired' };
    }
    const device = await db
      .selectFrom('devices')
      .selectAll()
      .where('id', '=', row.device_id)
      .forUpdate()
      .executeTakeFirstOrThrow();
    if (device.lifecycle_status === 'blocked')
      return { refused: 'suspended', description: 'The device is suspended' };
    await this.#parts.register.supersede(device.id, db);
    const certificate = await this.#parts.register.issue(device, publicKey, db);
    const at = new Date(now());
    await db
      .updateTable('enrolment_codes')
      .set({ claimed_at: at, key_fingerprint: keyFingerprint(publicKey), certificate_id: certificate.id })
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
      description: 'The device was given its certificate',
      changes: { state: 'bootstrapped', device_key: certificate.fingerprint },
      data: { fingerprint: certificate.fingerprint },
    });
    return { certificate, repeated: false };
  }

  async #repeat(db: Db, row: EnrolmentCodeRow, publicKey: KeyObject): Promise<Claim> {
    if (row.key_fingerprint !== keyFingerprint(publicKey)) {
      return { refused: 'used-code', description: 'The enrolment code was used before, for another key' };
    }
    const certificate = await db
      .selectFrom('device_certificates')
      .selectAll()
      .where('id', '=', row.certificate_id)
      .where('status', 'in', ['issued', 'active'])
      .executeTakeFirst();
    if (certificate !== undefined) return { certificate, repeated: true };
    return {
      refused: 'used-code',
      description: 'The certificate that this code gave was revoked or replaced',
    };
  }
}

function hashCode(code: string): string {
  return createHash('sha256').update(code).digest('hex');
}
