// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  bitString,
  contextual,
  type DerElement,
  der,
  derError,
  expectTag,
  octetString,
  oid,
  readBitString,
  readChildren,
  readDer,
  sequence,
  tags,
  time,
  toPem,
  unsignedInteger,
} from './der.ts';
import { MblError } from './errors.ts';
import { decodeName, encodeName, type SubjectName } from './names.ts';
import { type Signer, signatureAlgorithm } from './signer.ts';

/** The beginning of time: a device without a clock must find the certificates valid (ARCHITECTURE.md, Names). */
export const epoch = new Date(0);

/** The largest date of X.509: "no well-defined expiration" (RFC 5280 §4.1.2.5). */
export const noExpiry = new Date('9999-12-31T23:59:59Z');

/** An issuer: its certificate and what signs with its key. */
export interface CertificateAuthority {
  readonly certificate: X509Certificate;
  readonly signer: Signer;
}

export interface SelfSignedOptions {
  readonly subject: SubjectName;
  readonly notAfter?: Date;
  /** A certificate authority (may sign certificates, path length 0) or only a holder of a public key. */
  readonly authority: boolean;
}

export interface IssueOptions {
  readonly subject: SubjectName;
  readonly publicKey: KeyObject;
  /** `client`: a device; `server`: a TLS server; `both`. */
  readonly usage: 'client' | 'server' | 'both';
  /** Default: 1970-01-01. */
  readonly notBefore?: Date;
  readonly notAfter: Date;
  /** Host names and IP addresses for the subject alternative name. */
  readonly hosts?: readonly string[];
}

const usageBits = { digitalSignature: 0x80, keyCertSignAndCrlSign: 0x06 } as const;
const extendedUsages = { server: ['1.3.6.1.5.5.7.3.1'], client: ['1.3.6.1.5.5.7.3.2'] } as const;

/** Signs a certificate with its own key: the built-in CA, or the certificate form of U-Boot's FIT key. */
export async function selfSign(signer: Signer, options: SelfSignedOptions): Promise<X509Certificate> {
  const name = encodeName(options.subject);
  const spki = spkiOf(createPublicKey(await signer.publicKey()));
  const keyId = keyIdentifier(spki);
  return sign(signer, name, name, spki, epoch, options.notAfter ?? noExpiry, [
    basicConstraints(options.authority),
    keyUsage(options.authority ? usageBits.keyCertSignAndCrlSign : usageBits.digitalSignature),
    extension('2.5.29.14', octetString(keyId)),
  ]);
}

/** Issues an end-entity certificate. Subject and extensions come from the issuer, never from the request. */
export async function issueCertificate(
  ca: CertificateAuthority,
  options: IssueOptions,
): Promise<X509Certificate> {
  const issuer = certificateFields(ca.certificate.raw);
  const spki = spkiOf(options.publicKey);
  const usages =
    options.usage === 'both'
      ? [...extendedUsages.server, ...extendedUsages.client]
      : extendedUsages[options.usage];
  const extensions = [
    basicConstraints(false),
    keyUsage(usageBits.digitalSignature),
    extension('2.5.29.37', sequence(...usages.map(oid))),
    extension('2.5.29.14', octetString(keyIdentifier(spki))),
    extension('2.5.29.35', sequence(der(0x80, keyIdentifier(issuer.spki)))),
  ];
  if (options.hosts !== undefined && options.hosts.length > 0) {
    extensions.push(extension('2.5.29.17', sequence(...options.hosts.map(generalName))));
  }
  const notBefore = options.notBefore ?? epoch;
  return sign(
    ca.signer,
    issuer.subject.raw,
    encodeName(options.subject),
    spki,
    notBefore,
    options.notAfter,
    extensions,
  );
}

async function sign(
  signer: Signer,
  issuer: Uint8Array,
  subject: Uint8Array,
  spki: Uint8Array,
  notBefore: Date,
  notAfter: Date,
  extensions: readonly Buffer[],
): Promise<X509Certificate> {
  if (!(notBefore < notAfter))
    throw new MblError('trust/bad-validity', 'a certificate must end after it begins');
  // Unpredictable and positive, at most 20 octets (RFC 5280 §4.1.2.2).
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const algorithm = signatureAlgorithm(signer.algorithm);
  const tbs = sequence(
    contextual(0, unsignedInteger(Buffer.of(2))),
    unsignedInteger(serial),
    algorithm,
    issuer,
    sequence(time(notBefore), time(notAfter)),
    subject,
    spki,
    contextual(3, sequence(...extensions)),
  );
  return new X509Certificate(sequence(tbs, algorithm, bitString(await signer.sign(tbs))));
}

function extension(id: string, value: Uint8Array, critical = false): Buffer {
  const parts = critical ? [der(tags.boolean, Buffer.of(0xff))] : [];
  return sequence(oid(id), ...parts, octetString(value));
}

function basicConstraints(authority: boolean): Buffer {
  const value = authority ? [der(tags.boolean, Buffer.of(0xff)), unsignedInteger(Buffer.of(0))] : [];
  return extension('2.5.29.19', sequence(...value), true);
}

function keyUsage(bits: number): Buffer {
  // A named bit list drops trailing zero bits (X.690 §11.2.2).
  const unused = Math.clz32(bits & -bits) === 0 ? 0 : 31 - Math.clz32(bits & -bits);
  return extension('2.5.29.15', der(tags.bitString, Buffer.of(unused, bits)), true);
}

function generalName(host: string): Buffer {
  // An address with a zone means something on one machine only.
  const family = host.includes('%') ? 0 : isIP(host);
  if (family === 0) {
    if (!/^[A-Za-z0-9*._-]{1,253}$/.test(host))
      throw new MblError('trust/bad-name', `not a host name: ${host}`);
    return der(0x82, Buffer.from(host, 'ascii'));
  }
  return der(0x87, family === 4 ? Buffer.from(host.split('.').map(Number)) : ipv6Bytes(host));
}

function ipv6Bytes(host: string): Buffer {
  // The URL parser writes any spelling of an address (zone aside) in hexadecimal groups.
  const groups = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** SHA-1 of the public key's bit string: an identifier, not a protection (RFC 5280 §4.2.1.2, method 1). */
function keyIdentifier(spki: Uint8Array): Buffer {
  const [, bits] = readChildren(readDer(spki, tags.sequence));
  return createHash('sha1').update(readBitString(bits)).digest();
}

interface CertificateFields {
  readonly subject: DerElement;
  readonly spki: Uint8Array;
}

function certificateFields(raw: Uint8Array): CertificateFields {
  const [tbs] = readChildren(readDer(raw, tags.sequence));
  const fields = readChildren(expectTag(tbs, tags.sequence));
  // version is there in every v3 certificate: version serial signature issuer validity subject spki.
  if (fields[0]?.tag !== 0xa0) throw derError('not an X.509 v3 certificate');
  return { subject: expectTag(fields[5], tags.sequence), spki: expectTag(fields[6], tags.sequence).raw };
}

/** Reads a certificate, DER or PEM. */
export function parseCertificate(bytes: Uint8Array | string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (cause) {
    throw new MblError('trust/malformed', 'not an X.509 certificate', { cause });
  }
}

/** The subject of a certificate (DER, as `getPeerCertificate().raw` or `X509Certificate.raw` gives it). */
export function subjectOf(raw: Uint8Array): SubjectName {
  return decodeName(certificateFields(raw).subject);
}

/** SHA-256 of a certificate's DER, 64 lower hex. */
export function fingerprint(raw: Uint8Array): string {
  return createHash('sha256').update(raw).digest('hex');
}

/** SHA-256 of a public key's SubjectPublicKeyInfo, 64 lower hex: the same for every certificate of one key. */
export function keyFingerprint(key: KeyObject): string {
  return createHash('sha256').update(spkiOf(key)).digest('hex');
}

/** True when `ca` signed the certificate. Says nothing about time. */
export function isIssuedBy(certificate: X509Certificate, ca: X509Certificate): boolean {
  return certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

/** A certificate as PEM, ending in a newline. */
export function certificatePem(certificate: X509Certificate): string {
  return toPem('CERTIFICATE', certificate.raw);
}
