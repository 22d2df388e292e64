// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceName } from '@mbl/formats';
import {
  type CertificateAuthority,
  certificatePem,
  issueCertificate,
  MblError,
  memorySigner,
  noExpiry,
  parseCertificate,
  selfSign,
} from '@mbl/trust';
import { readIfThere, writeAtomic } from '../../infra/files.ts';

/**
 * Reads a certificate authority of the service, or makes it at the first start: `<name>.pem` and `<name>.key` (mode 0600).
 * Throws `service/ca-incomplete` when only one of them is there: a new key would lock out every enrolled device.
 */
export async function ensureAuthority(
  directory: string,
  name: string,
  commonName: string,
): Promise<CertificateAuthority> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const keyPath = join(directory, `${name}.key`);
  const certificatePath = join(directory, `${name}.pem`);
  const [keyPem, storedPem] = await Promise.all([readIfThere(keyPath), readIfThere(certificatePath)]);
  if (storedPem !== undefined && keyPem === undefined) {
    throw new MblError('service/ca-incomplete', `${certificatePath} is there, but not its key ${keyPath}`, {
      remedy: `Put the key back from your backup. To start anew, and enrol all devices again, remove ${directory}`,
    });
  }
  if (storedPem !== undefined && keyPem !== undefined) {
    return { certificate: parseCertificate(storedPem), signer: memorySigner(readKey(keyPem, keyPath)) };
  }
  // A key without its certificate has signed nothing yet: the start that made it was interrupted.
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  await writeAtomic(keyPath, key.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  const signer = memorySigner(key);
  const certificate = await selfSign(signer, {
    subject: { commonName },
    notAfter: noExpiry,
    authority: true,
  });
  await writeAtomic(certificatePath, certificatePem(certificate), 0o644);
  return { certificate, signer };
}

function readKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new MblError('service/ca-unreadable', `${path} holds no private key`, {
      remedy: 'Put the key back from your backup',
      cause,
    });
  }
}

export interface TlsIdentity {
  readonly key: string;
  /** The certificate, then its issuer. */
  readonly cert: string;
}

/**
 * A new key and certificate for the service's listeners. The key lives in memory only and ends with the process. The certificate has no
 * end: a device whose clock is far in the future must come back, and nobody but the clock that it distrusts could tell it better.
 */
export async function issueServiceIdentity(
  ca: CertificateAuthority,
  hosts: readonly string[],
): Promise<TlsIdentity> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = await issueCertificate(ca, {
    subject: { commonName: serviceName },
    publicKey,
    usage: 'server',
    notAfter: noExpiry,
    hosts: [...new Set([serviceName, 'localhost', '127.0.0.1', '::1', ...hosts])],
  });
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: certificatePem(certificate) + certificatePem(ca.certificate),
  };
}
