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
import { sql } from 'kysely';
import type { Context } from '../../context.ts';
import { Gathering } from '../../infra/gathering.ts';
import { idAfter } from '../../infra/ids.ts';
import type { Db } from '../../schema.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import type { DeviceRow } from '../devices/table.ts';
import {
  type Claim,
  judge,
  type RejectedPeer,
  readStandings,
  rejection,
  type Standing,
  standingOf,
  unknownCertificate,
} from './standing.ts';
import type { CertificateRow } from './table.ts';

/** Ten years, in seconds. */
export const defaultCertificateLife = 3650 * 86_400;

/** Who a TLS peer proved to be. */
export interface Identity {
  readonly device: DeviceRow;
  readonly certificate: CertificateRow;
}

export type Verdict = { readonly identity: Identity } | { readonly rejected: RejectedPeer };

/** A certificate that lets its holder in. */
export interface GoodCertificate {
  readonly id: string;
  /** Nobody has come with it yet. */
  readonly unused: boolean;
}

/** Issues device certificates, keeps every one on record, and says whom a certificate shows. */
export class CertificateRegister {
  readonly #context: Context;
  readonly #events: EventRecorder;
  readonly #ca: CertificateAuthority;
  readonly #life: number;
  readonly #standings: Gathering<string, Standing>;
  readonly #used: Gathering<string, true>;

  /** `life`: how long a certificate holds, in seconds. */
  constructor(context: Context, events: EventRecorder, ca: CertificateAuthority, life: number) {
    this.#context = context;
    this.#events = events;
    this.#ca = ca;
    this.#life = life;
    this.#standings = new Gathering((fingerprints) => readStandings(context, fingerprints));
    this.#used = new Gathering((ids) => writeUsed(context, ids));
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
   * The handshake has proved that the peer holds the key. The verdict holds until the transaction ends.
   */
  async identify(peer: X509Certificate | undefined, transaction: Db): Promise<Verdict> {
    const shown = this.claim(peer);
    if ('rejected' in shown) return shown;
    const found = await this.#find(shown.claim.fingerprint, transaction);
    if (found === undefined) return { rejected: unknownCertificate(shown.claim) };
    const rejected = judge(shown.claim, standingOf(found.device, found.certificate), this.#context.now());
    return rejected === undefined ? { identity: found } : { rejected };
  }

  /**
   * What a TLS peer shows, when the device CA signed it. Asks no record. `proved`: the handshake has verified the chain already, with the device CA as
   * the only one that is trusted, so that the signature is not computed twice.
   */
  claim(
    peer: X509Certificate | undefined,
    proved = false,
  ): { readonly claim: Claim } | { readonly rejected: RejectedPeer } {
    if (peer === undefined) return { rejected: rejection('no-certificate', 'No certificate was shown') };
    const subject = readSubject(peer);
    const shown = fingerprint(peer.raw);
    const ca = this.#ca.certificate;
    if (subject !== undefined && (proved ? peer.checkIssued(ca) : isIssuedBy(peer, ca))) {
      const { commonName: endpointName = '', locality: deviceId = '' } = subject;
      return { claim: { deviceId, endpointName, fingerprint: shown } };
    }
    const description = 'The certificate was not issued by the device CA';
    return { rejected: rejection('foreign-certificate', description, subject?.commonName, shown) };
  }

  /** Whether a claim counts, by the record as it is after this was called. Claims of the same moment are looked up together. */
  async check(
    claim: Claim,
  ): Promise<{ readonly certificate: GoodCertificate } | { readonly rejected: RejectedPeer }> {
    const found = await this.#standings.ask(claim.fingerprint);
    if (found === undefined) return { rejected: unknownCertificate(claim) };
    const rejected = judge(claim, found, this.#context.now());
    if (rejected !== undefined) return { rejected };
    return { certificate: { id: found.certificateId, unused: found.status === 'issued' } };
  }

  async #find(shown: string, db: Db): Promise<Identity | undefined> {
    // Whoever takes a right away takes the same lock: the certificate is read when that is done.
    const device = await db
      .selectFrom('devices')
      .selectAll()
      .where('account_id', '=', this.#context.accountId)
      .where('id', '=', (query) =>
        query
          .selectFrom('device_certificates')
          .select('device_certificates.device_id')
          .where('fingerprint', '=', shown),
      )
      .forUpdate()
      .executeTakeFirst();
    if (device === undefined) return undefined;
    const certificate = await db
      .selectFrom('device_certificates')
      .selectAll()
      .where('fingerprint', '=', shown)
      .executeTakeFirst();
    return certificate === undefined ? undefined : { device, certificate };
  }

  /** `markUsed` in a statement of its own, together with those of the same moment. */
  async markUsedTogether({ id }: GoodCertificate): Promise<void> {
    await this.#used.ask(id);
  }

  /**
   * The device has used this certificate: the older ones end. Not before, because the answer that carried a new
   * certificate may have been lost.
   */
  async markUsed(certificate: CertificateRow, transaction: Db): Promise<void> {
    if (certificate.status !== 'issued') return;
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

/** What `markUsed` does, for many certificates of as many devices, in one statement. */
async function writeUsed({ db }: Context, ids: readonly string[]): Promise<Map<string, true>> {
  await sql`
    with held as materialized (
      -- The lock of those who take a right away, in one order.
      select id from devices
      where id in (select device_id from device_certificates where id = any(${ids}::text[]))
      order by id for no key update
    ), used as (
      update device_certificates set status = 'active' from held
      where device_id = held.id and device_certificates.id = any(${ids}::text[]) and status = 'issued'
      returning device_certificates.id, device_id
    )
    update device_certificates set status = 'superseded' from used
    where device_certificates.device_id = used.device_id and device_certificates.id < used.id
      and status in ('issued', 'active')`.execute(db);
  return new Map(ids.map((id) => [id, true]));
}

function readSubject(certificate: X509Certificate): SubjectName | undefined {
  try {
    return subjectOf(certificate.raw);
  } catch {
    return undefined;
  }
}
