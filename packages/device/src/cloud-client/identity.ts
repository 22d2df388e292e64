// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { readRecord, readText } from '@mbl/formats';
import { certificatePem, MblError, parseCertificate, subjectOf } from '@mbl/trust';
import { renameDurably, writeAtomic } from '../common/files.ts';

/** What the device is known by. The key is its own and never leaves it. */
export interface Identity {
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
  readonly deviceId: string;
  readonly accountId: string;
  /** By the clock of the device, which may have said 1970. */
  readonly enrolledAt: Date;
}

/** What the identity folder holds. */
export interface StoredIdentity {
  readonly key?: KeyObject;
  /** Only with a certificate for this key and this endpoint name. */
  readonly identity?: Identity;
  /** Why what is there cannot be used. */
  readonly damage?: string;
}

const maxFileBytes = 64 * 1024;

/** The identity folder on the configuration partition: `key.pem`, `certificate.pem`, `device.json`. */
export class IdentityStore {
  readonly #keyFile: string;
  readonly #certificateFile: string;
  readonly #deviceFile: string;
  readonly #endpointName: string;

  constructor(dir: string, endpointName: string) {
    this.#endpointName = endpointName;
    this.#keyFile = join(dir, 'key.pem');
    this.#certificateFile = join(dir, 'certificate.pem');
    this.#deviceFile = join(dir, 'device.json');
  }

  async load(): Promise<StoredIdentity> {
    const keyPem = await readText(this.#keyFile, maxFileBytes);
    if (keyPem === undefined) return {};
    let key: KeyObject;
    try {
      key = createPrivateKey(keyPem);
    } catch {
      return { damage: 'key.pem is not a private key' };
    }
    const certificatePem = await readText(this.#certificateFile, maxFileBytes);
    if (certificatePem === undefined) return { key };
    try {
      return {
        key,
        identity: checkIdentity(
          key,
          parseCertificate(certificatePem),
          this.#endpointName,
          await this.#enrolledAt(),
        ),
      };
    } catch (error) {
      return { key, damage: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Makes the device's key. A file in its place is kept as `key.pem.damaged`. */
  async createKey(): Promise<KeyObject> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    if ((await readText(this.#keyFile, maxFileBytes)) !== undefined) {
      await renameDurably(this.#keyFile, `${this.#keyFile}.damaged`);
    }
    await writeAtomic(this.#keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return privateKey;
  }

  /** Keeps a certificate after checking that it is for this device. Throws `device/bad-certificate`. */
  async saveCertificate(key: KeyObject, certificate: X509Certificate, now: Date): Promise<Identity> {
    const identity = checkIdentity(key, certificate, this.#endpointName, now);
    const { deviceId, accountId, enrolledAt } = identity;
    const device = { version: 1, endpointName: this.#endpointName, deviceId, accountId, enrolledAt };
    // The certificate decides; device.json before it, so that it is there whenever the certificate is.
    await writeAtomic(this.#deviceFile, `${JSON.stringify(device, null, 2)}\n`);
    await writeAtomic(this.#certificateFile, certificatePem(certificate));
    return identity;
  }

  /** 1970 when it is not known: renewal then begins by the end of the certificate alone. */
  async #enrolledAt(): Promise<Date> {
    try {
      const text = await readText(this.#deviceFile, maxFileBytes);
      const json = readRecord(text ?? '', {
        path: this.#deviceFile,
        code: 'device/bad-identity',
        most: maxFileBytes,
      });
      const date = new Date(json.string('enrolledAt'));
      return Number.isNaN(date.getTime()) ? new Date(0) : date;
    } catch {
      return new Date(0);
    }
  }
}

function checkIdentity(
  key: KeyObject,
  certificate: X509Certificate,
  endpointName: string,
  enrolledAt: Date,
): Identity {
  const bad = (why: string) => new MblError('device/bad-certificate', `the certificate ${why}`);
  if (!certificate.checkPrivateKey(key)) throw bad("is not for the device's key");
  const { commonName, locality, organizationalUnit } = subjectOf(certificate.raw);
  if (commonName !== endpointName) throw bad(`names ${commonName ?? 'nobody'}, not ${endpointName}`);
  if (locality === undefined || !/^[0-9a-f]{32}$/.test(locality)) throw bad('names no device id');
  if (organizationalUnit === undefined) throw bad('names no account');
  return { key, certificate, deviceId: locality, accountId: organizationalUnit, enrolledAt };
}
