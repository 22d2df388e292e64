// SPDX-License-Identifier: Apache-2.0
import { MblError } from '../errors.ts';

/** A key in a token, as a PKCS #11 URI names it (RFC 7512). */
export interface TokenKey {
  readonly token: string;
  /** CKA_LABEL. */
  readonly object?: string;
  /** CKA_ID as lower hex. */
  readonly id?: string;
}

/** Reads `pkcs11:token=...;object=...;id=%..`. `type` is allowed; a PIN in the URI is refused, and what is not understood too. */
export function parseTokenUri(uri: string): TokenKey {
  const bad = (why: string) =>
    new MblError('keys/bad-uri', `PKCS #11 URI ${JSON.stringify(uri.slice(0, 80))}: ${why}`, {
      remedy: 'Write it as "pkcs11:token=<token label>;object=<key label>".',
    });
  const match = /^pkcs11:([^?]*)$/.exec(uri);
  if (match?.[1] === undefined || uri.length > 512) throw bad('not of the form pkcs11:name=value;...');
  const found = new Map<string, Buffer>();
  for (const attribute of match[1].split(';')) {
    const [name = '', value] = attribute.split('=', 2);
    if (!['token', 'object', 'id', 'type'].includes(name)) throw bad(`attribute "${name}" is not understood`);
    if (value === undefined || value === '' || found.has(name))
      throw bad(`attribute "${name}" is empty or occurs twice`);
    found.set(name, percentDecode(value));
  }
  const token = found.get('token')?.toString('utf8');
  const object = found.get('object')?.toString('utf8');
  const id = found.get('id')?.toString('hex');
  if (token === undefined) throw bad('the token is not named');
  if (object === undefined && id === undefined) throw bad('neither object nor id names the key');
  return { token, ...(object === undefined ? {} : { object }), ...(id === undefined ? {} : { id }) };
}

function percentDecode(text: string): Buffer {
  const parts = text.match(/%[0-9A-Fa-f]{2}|[^%]+|%/g) ?? [];
  return Buffer.concat(
    parts.map((part) =>
      part.length === 3 && part.startsWith('%') ? Buffer.from(part.slice(1), 'hex') : Buffer.from(part),
    ),
  );
}

/** Writes the URI of a key with token, object and id. */
export function tokenUri(key: TokenKey): string {
  const escape = (text: string) =>
    encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  const object = key.object === undefined ? '' : `;object=${escape(key.object)}`;
  const id = key.id === undefined ? '' : `;id=${key.id.replaceAll(/../g, '%$&')}`;
  return `pkcs11:token=${escape(key.token)}${object}${id}`;
}
