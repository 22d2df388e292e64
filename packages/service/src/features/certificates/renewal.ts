// SPDX-License-Identifier: Apache-2.0
import type { KeyObject } from 'node:crypto';
import { keyFingerprint } from '@mbl/trust';
import type { Context } from '../../context.ts';
import type { Db } from '../../schema.ts';
import type { DenialReason } from '../denials/denials.ts';
import type { RecordEvent } from '../device-events/recorder.ts';
import type { CertificateRegister, Identity } from './register.ts';
import type { CertificateRow } from './table.ts';

export interface RenewalParts {
  readonly register: CertificateRegister;
  /** Whether the device holds a connection at this moment. */
  readonly connected: (deviceId: string) => boolean;
}

export interface RenewalRequest {
  readonly identity: Identity;
  readonly publicKey: KeyObject;
  readonly remoteAddress: string;
}

export type Renewal =
  | { readonly certificate: CertificateRow }
  | { readonly refused: DenialReason; readonly description: string };

const dayMs = 86_400_000;

/**
 * Renews a certificate (RFC 7030 §4.2.2) in a way that a copy of the identity gains nothing by: for the same key only, while the device is
 * not connected, and not before the certificate nears its end; earlier the device is given what it has. One renewed certificate is
 * outstanding at a time: whoever lost the answer gets the same one. `db` is a transaction that holds the device's row.
 */
export async function renewCertificate(
  context: Context,
  { register, connected }: RenewalParts,
  { identity, publicKey, remoteAddress }: RenewalRequest,
  db: Db,
  record: RecordEvent,
): Promise<Renewal> {
  const { device, certificate } = identity;
  if (keyFingerprint(publicKey) !== certificate.key_fingerprint)
    return {
      refused: 'other-key',
      description: 'A certificate is renewed for its own key; another key needs an enrolment code',
    };
  if (connected(device.id))
    return {
      refused: 'already-connected',
      description: 'The device is connected at this moment, and renews only when it is not',
    };
  await register.markUsed(certificate, db);
  const outstanding = await newest(device.id, certificate, db);
  if (context.now() < renewableFrom(outstanding)) return { certificate: outstanding };
  const renewed = await register.issue(device, publicKey, db);
  await record({
    type: 'device.certificate-renewed',
    deviceId: device.id,
    endpointName: device.endpoint_name,
    description: `The device was given a new certificate, asked for from ${remoteAddress}`,
    changes: { device_key: renewed.fingerprint },
    data: { fingerprint: renewed.fingerprint, remote_address: remoteAddress },
  });
  return { certificate: renewed };
}

/** Half its life before a certificate ends, 60 days at most, in Unix milliseconds: twice what a device of ours takes. */
function renewableFrom({ issued_at, not_after }: CertificateRow): number {
  const end = not_after.getTime();
  return end - Math.min(60 * dayMs, (end - issued_at.getTime()) / 2);
}

/** The newest certificate of the same key that works, `certificate` itself where none came after it. */
async function newest(deviceId: string, certificate: CertificateRow, db: Db): Promise<CertificateRow> {
  const later = await db
    .selectFrom('device_certificates')
    .selectAll()
    .where('device_id', '=', deviceId)
    .where('key_fingerprint', '=', certificate.key_fingerprint)
    .where('status', '=', 'issued')
    .where('id', '>', certificate.id)
    .orderBy('id', 'desc')
    .executeTakeFirst();
  return later ?? certificate;
}
