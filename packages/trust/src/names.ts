// SPDX-License-Identifier: Apache-2.0
import {
  type DerElement,
  der,
  derError,
  expectTag,
  oid,
  readChildren,
  readOid,
  sequence,
  tags,
  utf8String,
} from './der.ts';
import { MblError } from './errors.ts';

/** The parts of an X.500 name that MBL uses. A device's: CN endpoint name, L device id, OU account id. */
export interface SubjectName {
  readonly commonName?: string;
  readonly organization?: string;
  readonly organizationalUnit?: string;
  readonly locality?: string;
}

type Field = keyof SubjectName;

const types: readonly (readonly [Field, string])[] = [
  ['organization', '2.5.4.10'],
  ['organizationalUnit', '2.5.4.11'],
  ['locality', '2.5.4.7'],
  ['commonName', '2.5.4.3'],
];

const stringTags: readonly number[] = [tags.utf8String, tags.printableString, tags.ia5String];

/** A Name (RFC 5280 §4.1.2.4), each attribute a UTF8String of at most 64 characters (upper bounds of RFC 5280 §A.1). */
export function encodeName(name: SubjectName): Buffer {
  const parts: Buffer[] = [];
  for (const [field, type] of types) {
    const value = name[field];
    if (value === undefined) continue;
    if (value.length === 0 || value.length > 64) {
      throw new MblError('trust/bad-name', `the ${field} of a certificate must have 1 to 64 characters`);
    }
    parts.push(der(tags.set, sequence(oid(type), utf8String(value))));
  }
  return sequence(...parts);
}

/** Reads a Name. An attribute that occurs twice is refused, so that no two readers can disagree about it. */
export function decodeName(element: DerElement | undefined): SubjectName {
  const name: Partial<Record<Field, string>> = {};
  for (const set of readChildren(expectTag(element, tags.sequence))) {
    for (const attribute of readChildren(expectTag(set, tags.set))) {
      const [type, value] = readChildren(expectTag(attribute, tags.sequence));
      const dotted = readOid(type);
      const field = types.find(([, candidate]) => candidate === dotted)?.[0];
      if (field === undefined) continue;
      if (value === undefined || !stringTags.includes(value.tag)) throw derError(`string type of ${field}`);
      if (name[field] !== undefined) throw derError(`${field} occurs twice`);
      name[field] = decodeText(value.content, field);
    }
  }
  return name;
}

function decodeText(bytes: Uint8Array, field: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw derError(`${field} is not UTF-8`);
  }
  // Control characters could forge log lines; NUL once split CN checks elsewhere.
  if (text.length > 256 || /\p{Cc}/u.test(text))
    throw derError(`${field} holds control characters or is too long`);
  return text;
}
