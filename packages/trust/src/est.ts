// SPDX-License-Identifier: Apache-2.0
import type { X509Certificate } from 'node:crypto';
import { parseCertificate } from './certificates.ts';
import {
  contextual,
  der,
  derError,
  expectTag,
  maxDerBytes,
  oid,
  readChildren,
  readDer,
  readOid,
  sequence,
  tags,
  unsignedInteger,
} from './der.ts';
import { MblError } from './errors.ts';

const signedData = '1.2.840.113549.1.7.2';
const data = '1.2.840.113549.1.7.1';
const maxCertificates = 16;

/** The media type of a certs-only answer (RFC 7030 §4.1.3, §4.2.3). */
export const certsOnlyMediaType = 'application/pkcs7-mime; smime-type=certs-only';

/** The media type of a request (RFC 7030 §4.2.1). */
export const requestMediaType = 'application/pkcs10';

/** Certificates as a degenerate PKCS #7 SignedData: no content, no signers (RFC 5652 §5.1, RFC 7030 §4.1.3). DER. */
export function encodeCertsOnly(certificates: readonly X509Certificate[]): Buffer {
  return sequence(
    oid(signedData),
    contextual(
      0,
      sequence(
        unsignedInteger(Buffer.of(1)),
        der(tags.set),
        sequence(oid(data)),
        contextual(0, ...certificates.map((certificate) => certificate.raw)),
        der(tags.set),
      ),
    ),
  );
}

/** Reads what `encodeCertsOnly` writes, from any conforming sender: 1 to 16 certificates, CRLs ignored. Verifies nothing. */
export function decodeCertsOnly(bytes: Uint8Array): X509Certificate[] {
  const [type, content] = readChildren(readDer(bytes, tags.sequence));
  if (readOid(type) !== signedData) throw derError('not a PKCS #7 SignedData');
  const [signed] = readChildren(expectTag(content, 0xa0));
  const fields = readChildren(expectTag(signed, tags.sequence));
  const certificates = readChildren(expectTag(fields[3], 0xa0));
  if (certificates.length === 0 || certificates.length > maxCertificates) {
    throw derError(`number of certificates: ${certificates.length}`);
  }
  return certificates.map((element) => parseCertificate(expectTag(element, tags.sequence).raw));
}

/** The base64 body of EST messages, 76 columns (RFC 7030 §4, RFC 2045 §6.8). */
export function encodeEstBody(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,76}/g) ?? [];
  return lines.map((line) => `${line}\r\n`).join('');
}

/** Decodes an EST body; white space anywhere is allowed, nothing else outside the alphabet, 64 KiB decoded at most. */
export function decodeEstBody(body: Uint8Array | string): Buffer {
  if (body.length > maxDerBytes * 2) throw bodyError('is too long');
  const text = (typeof body === 'string' ? body : Buffer.from(body).toString('latin1')).replaceAll(
    /[ \t\r\n]/g,
    '',
  );
  if (text.length === 0 || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text))
    throw bodyError('is not base64');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length > maxDerBytes) throw bodyError('is too long');
  return bytes;
}

function bodyError(what: string): MblError {
  return new MblError('trust/malformed', `the body ${what}`);
}
