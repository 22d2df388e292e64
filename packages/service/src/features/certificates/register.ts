// SPDX-License-Identifier: Apache-2.0
import type { KeyObject, X509Certificate } from 'node:crypto';
import {
  type CertificateAuthority,
  certificatePem,
  fingerprint,
  isIssuedBy,
  issueCertificate,
  keyFingerprint,
  type SubjectName,
  subjectOf,
} from '@mbl/trust';
import type { Context } from '../../context.ts';
import { idAfter } from '../../infra/ids.ts';
import type { Db } from '../../schema.ts';
import type { DenialReason } from '../denials/denials.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import type { DeviceRow } from '../devices/table.ts';
import type { CertificateRow } from './table.ts';

/** Ten years, in seconds. */
export const defaultCertificateLife = 3650 * 86_400;

/** Who a TLS peer proved to be. */
export interface Identity {
  readonly device: DeviceRow;
  readonly certificate: CertificateRow;
}

/** Why a TLS peer is not let in, and the name that it claimed. */
export interface RejectedPeer {
  readonly reason: DenialReason;
  readonly description: string;
  readonly endpointName: string | undefined;
  readonly fingerprint: string | undefined;
}

export type Verdict = { readonly identity: Identity } | { readonly rejected: RejectedPeer };

/** Issues device certificates, keeps every one on record, and says whom a certificate shows. */
export class CertificateRegister {
  readonly #context: Context;
  readonly #events: EventRecorder;
  readonly #ca: CertificateAuthority;
  readonly #life: number;

  /** `life`: how long a certificate holds, in seconds. */
  constructor(context: Context, events: EventRecorder, ca: CertificateAuthority, life: number) {
    this.#context = context;
    this.#events = events;
    this.#ca = ca;
    this.#life = life;
  }

  /** Issues a certificate for a device's key and puts it on record. */
  async issue(device: DeviceRow, publicKey: KeyObject, db: Db): Promise<CertificateRow> {
    const { now, newId, accountId } = this.#context;
    const notAfter = new Date(now() + this.#life * 1000);
    const certificate = await issueCertificate(this.#ca, {
      subject: { commonName: device.endpoint_name ?? '', locality: device.id, organizationalUnit: accountId },
      publicKey,
      usage: 'client',
      notAfter,
    });
    // Which certificate is the later one is told by the ids.
    const newest = await db
      .selectFrom('device_certificates')
      .select((query) => query.fn.max('id').as('id'))
      .where('device_id', '=', device.id)
      .executeTakeFirst();
    const row: CertificateRow = {
      id: idAfter(newest?.id ?? undefined, newId()),
      device_id: device.id,
      fingerprint: fingerprint(certificate.raw),
      key_fingerprint: keyFingerprint(publicKey),
      pem: certificatePem(certificate),
      status: 'issued',
      not_after: notAfter,
      issued_at: new Date(now()),
      revoked_at: null,
      revocation_reason: null,
    };
    await db.insertInto('device_certificates').values(row).execute();
    await db
      .updateTable('devices')
      .set({
        device_key: row.fingerprint,
        issuer_fingerprint: fingerprint(this.#ca.certificate.raw),
        connector_expiration_date: notAfter.toISOString().slice(0, 10),
      })
      .where('id', '=', device.id)
      .execute();
    return row;
  }

  /**
   * Says who a TLS peer is. The order is that of trust: the chain, the time, the record, then the device's own standing.
   * The handshake has proved that the peer holds the key. Within a transaction the verdict holds until that ends.
   */
  async identify(peer: X509Certificate | undefined, transaction?: Db): Promise<Verdict> {
    if (peer === undefined) {
      return reject('no-certificate', 'No certificate was shown');
    }
    const subject = readSubject(peer);
    const shown = fingerprint(peer.raw);
    const refuse = (reason: DenialReason, description: string) =>
      reject(reason, description, subject?.commonName, shown);
    if (subject === undefined || !isIssuedBy(peer, this.#ca.certificate)) {
      return refuse('foreign-certificate', 'The certificate was not issued by the device CA');
    }
    const found = await this.#find(shown, transaction);
    if (found === undefined) {
      return refuse(
        'unknown-certificate',
        'The certificate is not on record: the device was removed, or the key is not its own',
      );
    }
    const { device, certificate } = found;
    if (certificate.not_after.getTime() <= this.#context.now()) {
      return refuse('expired-certificate', 'The certificate has expired');
    }
    if (certificate.status === 'revoked') {
      return refuse(
        'revoked-certificate',
        `The certificate was revoked: ${certificate.revocation_reason ?? ''}`,
      );
    }
    if (certificate.status === 'superseded') {
      return refuse(
        'superseded-certificate',
        'The certificate was replaced by a newer one, which the device has used',
      );
    }
    if (subject.commonName !== device.endpoint_name || subject.locality !== device.id) {
      return refuse('name-mismatch', 'The certificate names another device');
    }
    if (device.lifecycle_status === 'blocked') return refuse('suspended', 'The device is suspended');
    return { identity: found };
  }

  async #find(shown: string, transaction: Db | undefined): Promise<Identity | undefined> {
    const db = transaction ?? this.#context.db;
    let ofCertificate = db
      .selectFrom('devices')
      .selectAll()
      .where('account_id', '=', this.#context.accountId)
      .where('id', '=', (query) =>
        query
          .selectFrom('device_certificates')
          .select('device_certificates.device_id')
          .where('fingerprint', '=', shown),
      );
    // Whoever takes a right away takes the same lock: the certificate is read when that is done.
    if (transaction !== undefined) ofCertificate = ofCertificate.forUpdate();
    const device = await ofCertificate.executeTakeFirst();
    if (device === undefined) return undefined;
    const certificate = await db
      .selectFrom('device_certificates')
      .selectAll()
      .where('fingerprint', '=', shown)
      .executeTakeFirst();
    return certificate === undefined ? undefined : { device, certificate };
  }

  /**
   * The device has used this certificate: the older ones end. Not before, because the answer that carried a new
   * certificate may have been lost.
   */
  async markUsed(certificate: CertificateRow, transaction?: Db): Promise<void> {
    if (certificate.status !== 'issued') return;
    if (transaction === undefined)
      return this.#context.db.transaction().execute((db) => this.markUsed(certificate, db));
    await this.supersede(certificate.device_id, transaction, certificate.id);
    await transaction
      .updateTable('device_certificates')
      .set({ status: 'active' })
      .where('id', '=', certificate.id)
      .where('status', '=', 'issued')
      .execute();
  }

  /** Ends the certificates of a device that are older than one of it, or all. */
  async supersede(deviceId: string, db: Db, olderThan?: string): Promise<void> {
    let update = db
      .updateTable('device_certificates')
      .set({ status: 'superseded' })
      .where('device_id', '=', deviceId)
      .where('status', 'in', ['issued', 'active']);
    if (olderThan !== undefined) update = update.where('id', '<', olderThan);
    await update.execute();
  }

  /** Revokes every certificate of a device that still works. Gives how many. */
  async revoke(device: DeviceRow, reason: string): Promise<number> {
    return this.#events.transaction(async (db, record) => {
      // A certificate that is being issued at this moment is waited for, and revoked with the others.
      await db.selectFrom('devices').select('id').where('id', '=', device.id).forUpdate().execute();
      const revoked = await db
        .updateTable('device_certificates')
        .set({ status: 'revoked', revoked_at: new Date(this.#context.now()), revocation_reason: reason })
        .where('device_id', '=', device.id)
        .where('status', '!=', 'revoked')
        .returning('fingerprint')
        .execute();
      if (revoked.length > 0) {
        await record({
          type: 'device.certificate-revoked',
          deviceId: device.id,
          endpointName: device.endpoint_name,
          description: reason,
          data: { fingerprints: revoked.map((row) => row.fingerprint).join(' ') },
        });
      }
      return revoked.length;
    });
  }

  /** The authority that signs device certificates. */
  get authority(): X509Certificate {
    return this.#ca.certificate;
  }
}

function reject(
  reason: DenialReason,
  description: string,
  endpointName?: string,
  shown?: string,
): { rejected: RejectedPeer } {
  return { rejected: { reason, description, endpointName, fingerprint: shown } };
}

function readSubject(certificate: X509Certificate): SubjectName | undefined {
  try {
    return subjectOf(certificate.raw);
  } catch {
    return undefined;
  }
}
