// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { expectTag, readBitString, readChildren, readDer, readOid, tags } from '../der.ts';

/** A certificate of TF-A's chain of trust, as it stands: nothing of it is verified. */
export interface TbbrCertificate {
  /** DER of what identifies it apart from keys: issuer, validity, subject, signature algorithm. */
  readonly frame: Buffer;
  readonly serial: Uint8Array;
  /** DER, SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  readonly extensions: readonly TbbrCertificateExtension[];
  readonly signature: Uint8Array;
}

/** One of the three that is not raw is set where the value is of that kind. */
export interface TbbrCertificateExtension {
  readonly oid: string;
  /** The value's DER. */
  readonly raw: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo, hex, where the value is a public key. */
  readonly key?: string;
  /** SHA-256 of an image, hex. */
  readonly image?: string;
  readonly counter?: number;
}

const ecPublicKey = '1.2.840.10045.2.1';
const rsaEncryption = '1.2.840.113549.1.1.1';
const sha256 = '2.16.840.1.101.3.4.2.1';

/** Reads a certificate that `tbbrCertificates` made, or one like it (RFC 5280 §4.1). For bytes of any origin: throws `trust/malformed`. */
export function readTbbrCertificate(bytes: Uint8Array): TbbrCertificate {
  const [toBeSigned, algorithm, signature] = readChildren(readDer(bytes, tags.sequence));
  const fields = readChildren(expectTag(toBeSigned, tags.sequence));
  const [version, serial, inner, issuer, validity, subject, publicKey, extensions] = fields;
  const [list] = readChildren(expectTag(extensions, 0xa3));
  const frame = [version, inner, issuer, validity, subject, algorithm];
  return {
    frame: Buffer.concat(frame.map((element) => element?.raw ?? new Uint8Array())),
    serial: expectTag(serial, tags.integer).content,
    publicKey: expectTag(publicKey, tags.sequence).raw,
    extensions: readChildren(expectTag(list, tags.sequence)).map((element) => {
      const [oid, ...rest] = readChildren(expectTag(element, tags.sequence));
      return {
        oid: readOid(oid),
        raw: Buffer.concat(rest.map(({ raw }) => raw)),
        ...readValue(expectTag(rest.at(-1), tags.octetString).content),
      };
    }),
    signature: readBitString(signature),
  };
}

function readValue(bytes: Uint8Array): Partial<TbbrCertificateExtension> {
  const value = readDer(bytes);
  if (value.tag === tags.integer && value.content.length <= 5)
    return { counter: Number(`0x${Buffer.from(value.content).toString('hex') || '0'}`) };
  if (value.tag !== tags.sequence) return {};
  const [algorithm, content] = readChildren(value);
  if (algorithm?.tag !== tags.sequence) return {};
  const [name] = readChildren(algorithm);
  if (name?.tag !== tags.oid) return {};
  const oid = readOid(name);
  if ((oid === ecPublicKey || oid === rsaEncryption) && content?.tag === tags.bitString)
    return { key: createHash('sha256').update(value.raw).digest('hex') };
  if (oid === sha256 && content?.tag === tags.octetString)
    return { image: Buffer.from(content.content).toString('hex') };
  return {};
}
