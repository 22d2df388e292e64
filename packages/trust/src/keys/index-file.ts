// SPDX-License-Identifier: Apache-2.0
import { MblError } from '../errors.ts';
import type { KeyAlgorithm } from '../signer.ts';
import { type KeyName, keyNames } from './catalogue.ts';

export type KeyProfile = 'development' | 'production';

/** Where a private key is: a file beside the index, or a token behind a PKCS #11 module. */
export type KeyPlace = { readonly file: string } | { readonly pkcs11: string; readonly module: string };

export type KeyEntry = KeyPlace & { readonly algorithm: KeyAlgorithm; readonly certificate?: string };

/** `keys.json`: which key is where. */
export interface KeyIndex {
  readonly version: 1;
  /** A file that does not say counts as production's. */
  readonly profile: KeyProfile;
  /** Binds the profile to the keys (`sealOf`), where the file has it. */
  readonly seal?: string;
  readonly keys: Readonly<Record<KeyName, KeyEntry>>;
}

export const indexFileName = 'keys.json';

/** The root of a team's releases, signed with the set's `tuf-root`: what devices are born with. Public. */
export const releaseRootFile = 'release-root.json';
export const maxIndexBytes = 64 * 1024;

const algorithms: readonly unknown[] = [
  'ec-p256',
  'rsa-2048',
  'rsa-3072',
  'ed25519',
] satisfies KeyAlgorithm[];

/** Reads the text of `keys.json`. `path` is for messages. Throws `keys/bad-index`. */
export function parseKeyIndex(text: string, path: string): KeyIndex {
  const bad = (why: string, cause?: unknown) =>
    new MblError('keys/bad-index', `${path}: ${why}`, {
      cause,
      details: { path },
      remedy: 'Correct the file, or make a new key set in another folder with `mbl keys init`.',
    });
  if (text.length > maxIndexBytes) throw bad('too large for a key index');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad('not JSON', cause);
  }
  if (!isRecord(value) || value['version'] !== 1) throw bad('"version" must be 1');
  const { profile = 'production', seal, keys } = value;
  if (profile !== 'development' && profile !== 'production')
    throw bad('"profile" must be "development" or "production"');
  if (seal !== undefined && (typeof seal !== 'string' || !/^[0-9a-f]{64}$/.test(seal)))
    throw bad('"seal" must be 64 hexadecimal digits');
  if (!isRecord(keys)) throw bad('"keys" must be an object');
  const entries: Partial<Record<KeyName, KeyEntry>> = {};
  for (const name of keyNames) entries[name] = parseEntry(keys[name], (why) => bad(`key "${name}" ${why}`));
  const unknown = Object.keys(keys).find((name) => !keyNames.includes(name as KeyName));
  if (unknown !== undefined) throw bad(`key "${unknown}" is not known`);
  return {
    version: 1,
    profile,
    ...(seal === undefined ? {} : { seal }),
    keys: entries as Record<KeyName, KeyEntry>,
  };
}

function parseEntry(value: unknown, bad: (why: string) => MblError): KeyEntry {
  if (!isRecord(value)) throw bad('is missing');
  const { algorithm, certificate, file, pkcs11, module } = value;
  if (!algorithms.includes(algorithm)) throw bad(`needs "algorithm", one of ${algorithms.join(', ')}`);
  if (certificate !== undefined && !isFileName(certificate)) throw bad('"certificate" must be a file name');
  const common = {
    algorithm: algorithm as KeyAlgorithm,
    ...(certificate === undefined ? {} : { certificate }),
  };
  if (typeof pkcs11 === 'string' && typeof module === 'string' && file === undefined)
    return { pkcs11, module, ...common };
  if (isFileName(file) && pkcs11 === undefined && module === undefined) return { file, ...common };
  throw bad('needs either "file", a file name, or "pkcs11", a URI, and "module", a path');
}

/** A plain name: the index never points outside its folder. */
function isFileName(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
