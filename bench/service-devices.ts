// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CertificateAuthority,
  certificatePem,
  fingerprint,
  issueCertificate,
  keyFingerprint,
  memorySigner,
  parseCertificate,
} from '@mbl/trust';
import type { BenchService } from './service-support.ts';

/** Devices that are on record as enrolled. One key serves all: what a service does for a device it does by its certificate. */
export interface SimulatedDevices {
  /** PEM. */
  readonly key: string;
  readonly devices: readonly { readonly id: string; readonly name: string; readonly cert: string }[];
}

/** Signs certificates with the service's own device CA and puts them on record. `status`: `issued` until a device used it, then `active`. */
export async function makeDevices(
  service: BenchService,
  count: number,
  { prefix, status }: { readonly prefix: string; readonly status: 'issued' | 'active' },
): Promise<SimulatedDevices> {
  const ca = await deviceAuthority(service);
  const [accountId = ''] = await service.sql('select id from accounts');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const notAfter = new Date('2046-01-01');
  const devices = [];
  const rows: { readonly devices: string[]; readonly certificates: string[] } = {
    devices: [],
    certificates: [],
  };
  const sameKey = keyFingerprint(publicKey);
  const created = Date.now().toString(16).padStart(12, '0');
  const suffix = Buffer.from(prefix).toString('hex').padEnd(16, '0').slice(0, 16);
  for (let n = 0; n < count; n++) {
    const id = created + n.toString(16).padStart(4, '0') + suffix;
    const name = `${prefix}-${n}`;
    const certificate = await issueCertificate(ca, {
      subject: { commonName: name, locality: id, organizationalUnit: accountId },
      publicKey,
      usage: 'client',
      notAfter,
    });
    devices.push({ id, name, cert: certificatePem(certificate) });
    rows.devices.push(`('${id}', '${accountId}', '${name}', now(), now())`);
    rows.certificates.push(
      `('${id}', '${id}', '${fingerprint(certificate.raw)}', '${sameKey}', '', '${status}', '${notAfter.toISOString()}', now())`,
    );
  }
  const path = join(service.directory, `${prefix}.sql`);
  await writeFile(
    path,
    `insert into devices (id, account_id, endpoint_name, created_at, updated_at) values ${rows.devices.join()};
     insert into device_certificates (id, device_id, fingerprint, key_fingerprint, pem, status, not_after, issued_at)
     values ${rows.certificates.join()};
     analyze devices; analyze device_certificates;`,
  );
  await service.sqlFile(path);
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), devices };
}

async function deviceAuthority(service: BenchService): Promise<CertificateAuthority> {
  const path = (kind: string) => join(service.directory, 'ca', `device-ca.${kind}`);
  return {
    certificate: parseCertificate(await readFile(path('pem'))),
    signer: memorySigner(createPrivateKey(await readFile(path('key')))),
  };
}
