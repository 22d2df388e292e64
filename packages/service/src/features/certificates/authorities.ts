// SPDX-License-Identifier: Apache-2.0
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { serviceName } from '@mbl/formats';
import {
  type CertificateAuthority,
  certificatePem,
  isIssuedBy,
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
 * Throws `service/ca-incomplete` when only the certificate is there: a new key would lock out every enrolled device; and
 * `service/ca-unreadable`, also when they do not belong together.
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
    const [certificate, key] = [readCertificate(storedPem), readKey(keyPem, keyPath)];
    if (certificate?.checkPrivateKey(key) === true) return { certificate, signer: memorySigner(key) };
    throw new MblError('service/ca-unreadable', `${certificatePath} holds no certificate for ${keyPath}`, {
      remedy: 'Put both back from the same backup',
    });
  }
  // A key without its certificate was left by an interrupted start, or somebody lost the certificate: all that the key signed stays good.
  const key =
    keyPem === undefined
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      : readKey(keyPem, keyPath);
  if (keyPem === undefined) await writeAtomic(keyPath, key.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  const signer = memorySigner(key);
  const certificate = await selfSign(signer, {
    subject: { commonName },
    notAfter: noExpiry,
    authority: true,
  });
  await writeAtomic(certificatePath, certificatePem(certificate), 0o644);
  return { certificate, signer };
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return parseCertificate(pem);
  } catch {
    return undefined;
  }
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
 * Key and certificate of the service's listeners, kept beside the CA that signs them (`service.key`, mode 0600; `service.pem`): a client may
 * have pinned the certificate, so it stays until the hosts change, and then its key stays. It has no end: a device whose clock is far in the
 * future must come back, and nobody but the clock that it distrusts could tell it better.
 */
export async function ensureServiceIdentity(
  directory: string,
  ca: CertificateAuthority,
  hosts: readonly string[],
): Promise<TlsIdentity> {
  const all = [...new Set([serviceName, 'localhost', '127.0.0.1', '::1', ...hosts])];
  const [keyPath, certificatePath] = [join(directory, 'service.key'), join(directory, 'service.pem')];
  const storedKey = await readIfThere(keyPath);
  const key =
    storedKey === undefined
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      : readKey(storedKey, keyPath);
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' });
  if (storedKey === undefined) await writeAtomic(keyPath, keyPem, 0o600);
  const identity = (certificate: X509Certificate): TlsIdentity => ({
    key: keyPem,
    cert: certificatePem(certificate) + certificatePem(ca.certificate),
  });
  const stored = await readIfThere(certificatePath);
  const known = stored === undefined ? undefined : readCertificate(stored);
  if (known?.checkPrivateKey(key) === true && isIssuedBy(known, ca.certificate) && isFor(known, all))
    return identity(known);
  const certificate = await issueCertificate(ca, {
    subject: { commonName: serviceName },
    publicKey: createPublicKey(key),
    usage: 'server',
    notAfter: noExpiry,
    hosts: all,
  });
  await writeAtomic(certificatePath, certificatePem(certificate), 0o644);
  return identity(certificate);
}

/** Whether a certificate names these hosts, and no other. */
function isFor(certificate: X509Certificate, hosts: readonly string[]): boolean {
  const named = (certificate.subjectAltName ?? '').split(', ').length;
  return (
    named === hosts.length &&
    hosts.every((host) =>
      isIP(host) === 0 ? certificate.checkHost(host) !== undefined : certificate.checkIP(host) !== undefined,
    )
  );
}
