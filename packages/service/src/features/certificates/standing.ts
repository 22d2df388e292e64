// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import type { Context } from '../../context.ts';
import type { DenialReason } from '../denials/denials.ts';
import type { DeviceRow } from '../devices/table.ts';
import type { CertificateRow, CertificateStatus } from './table.ts';

/** Why a TLS peer is not let in, and the name that it claimed. */
export interface RejectedPeer {
  readonly reason: DenialReason;
  readonly description: string;
  readonly endpointName: string | undefined;
  readonly fingerprint: string | undefined;
}

/** Who a TLS peer says it is, in a certificate that the device CA signed; whether that still counts is on record. */
export interface Claim {
  readonly deviceId: string;
  readonly endpointName: string;
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
}

/** What is on record of a claim, as far as it decides about it. */
export interface Standing {
  readonly certificateId: string;
  readonly status: CertificateStatus;
  readonly notAfter: Date;
  readonly revocationReason: string | null;
  readonly deviceId: string;
  readonly endpointName: string | null;
  readonly blocked: boolean;
}

export function unknownCertificate({ endpointName, fingerprint }: Claim): RejectedPeer {
  const description = 'The certificate is not on record: the device was removed, or the key is not its own';
  return rejection('unknown-certificate', description, endpointName, fingerprint);
}

/**
 * Why a claim does not count, by what is on record of it, at a time in Unix milliseconds; undefined when it does. First the certificate, then
 * the device's own standing.
 */
export function judge(
  { deviceId, endpointName, fingerprint: shown }: Claim,
  found: Standing,
  now: number,
): RejectedPeer | undefined {
  const refuse = (reason: DenialReason, description: string) =>
    rejection(reason, description, endpointName, shown);
  if (found.notAfter.getTime() <= now) {
    return refuse('expired-certificate', 'The certificate has expired');
  }
  if (found.status === 'revoked') {
    return refuse('revoked-certificate', `The certificate was revoked: ${found.revocationReason ?? ''}`);
  }
  if (found.status === 'superseded') {
    return refuse(
      'superseded-certificate',
      'The certificate was replaced by a newer one, which the device has used',
    );
  }
  if (endpointName !== found.endpointName || deviceId !== found.deviceId) {
    return refuse('name-mismatch', 'The certificate names another device');
  }
  return found.blocked ? refuse('suspended', 'The device is suspended') : undefined;
}

/** Looks certificates up by their fingerprints. */
export async function readStandings(
  { db, accountId }: Context,
  fingerprints: readonly string[],
): Promise<Map<string, Standing>> {
  const rows = await db
    .selectFrom('device_certificates as certificate')
    .innerJoin('devices as device', 'device.id', 'certificate.device_id')
    .select([
      'certificate.fingerprint',
      'certificate.id as certificateId',
      'certificate.status',
      'certificate.not_after as notAfter',
      'certificate.revocation_reason as revocationReason',
      'device.id as deviceId',
      'device.endpoint_name as endpointName',
      'device.lifecycle_status as lifecycle',
    ])
    .where('device.account_id', '=', accountId)
    .where(sql<boolean>`certificate.fingerprint = any(${fingerprints}::text[])`)
    .execute();
  return new Map(
    rows.map(({ fingerprint: shown, lifecycle, ...row }) => [
      shown,
      { ...row, blocked: lifecycle === 'blocked' },
    ]),
  );
}

/** The same of rows that were read. */
export function standingOf(device: DeviceRow, certificate: CertificateRow): Standing {
  return {
    certificateId: certificate.id,
    status: certificate.status,
    notAfter: certificate.not_after,
    revocationReason: certificate.revocation_reason,
    deviceId: device.id,
    endpointName: device.endpoint_name,
    blocked: device.lifecycle_status === 'blocked',
  };
}

export function rejection(
  reason: DenialReason,
  description: string,
  endpointName?: string,
  shown?: string,
): RejectedPeer {
  return { reason, description, endpointName, fingerprint: shown };
}
