// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CertificateAuthority, parseCertificate } from '../certificates.ts';
import { MblError } from '../errors.ts';
import { algorithmOf, memorySigner, type Signer } from '../signer.ts';
import { type KeyName, keyNames } from './catalogue.ts';
import {
  indexFileName,
  type KeyEntry,
  type KeyIndex,
  type KeyPlace,
  type KeyProfile,
  parseKeyIndex,
} from './index-file.ts';
import { parseTokenUri } from './pkcs11-uri.ts';
import { oneAtATime, type TokenAccess, tokenSigner } from './token.ts';

/** One key of a set: what signs, and where tools that sign by themselves find it. */
export interface KeyRef extends Signer {
  readonly name: KeyName;
  /** `file` is an absolute path of a PKCS #8 PEM; `pkcs11` an RFC 7512 URI for the module. */
  readonly place: KeyPlace;
  /** Absolute path of the certificate (PEM), for keys that have one. */
  readonly certificateFile: string | undefined;
  /** For keys in a token: the signature that `sign` makes, over a SHA-256 that another program computed. Not for ed25519. */
  signDigest?(digest: Uint8Array): Promise<Buffer>;
}

/** The keys of a folder. */
export interface KeySet {
  readonly dir: string;
  /** As `keys.json` says; `confirmProfile` holds it against the keys. */
  readonly profile: KeyProfile;
  readonly seal?: string;
  readonly keys: Readonly<Record<KeyName, KeyRef>>;
}

export interface LoadKeysOptions {
  /** Holds `MBL_PKCS11_PIN` or `MBL_PKCS11_PIN_FILE` for keys in a token. Default: the process's. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Loads a key set and checks every key file against the index; tokens are asked when a key is used.
 *
 * Throws `keys/missing`, `keys/bad-index`, `keys/missing-key`, `keys/bad-key`, `keys/bad-uri`.
 */
export async function loadKeys(dir: string, options: LoadKeysOptions = {}): Promise<KeySet> {
  const path = join(dir, indexFileName);
  const index = parseKeyIndex(await readIndex(dir, path), path);
  const { profile, seal } = index;
  const keys = await loadKeyRefs(dir, index, options.environment ?? process.env);
  return { dir, profile, ...(seal === undefined ? {} : { seal }), keys };
}

/** The keys that an index names in its folder. */
export async function loadKeyRefs(
  dir: string,
  index: KeyIndex,
  environment: NodeJS.ProcessEnv,
): Promise<Readonly<Record<KeyName, KeyRef>>> {
  const access = { environment, inTurn: oneAtATime() };
  const refs: Partial<Record<KeyName, KeyRef>> = {};
  for (const name of keyNames) refs[name] = await loadKey(dir, name, index.keys[name], access);
  return refs as Record<KeyName, KeyRef>;
}

async function readIndex(dir: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new MblError('keys/missing', `there is no key set in ${dir}`, {
      cause,
      remedy: 'Make one with `mbl keys init`.',
      details: { dir },
    });
  }
}

async function loadKey(
  dir: string,
  name: KeyName,
  entry: KeyEntry,
  access: Omit<TokenAccess, 'module'>,
): Promise<KeyRef> {
  const certificateFile = entry.certificate === undefined ? undefined : join(dir, entry.certificate);
  if (certificateFile !== undefined) parseCertificate(await readKeyFile(certificateFile));
  if ('pkcs11' in entry) {
    const signer = tokenSigner(
      { ...access, module: entry.module },
      parseTokenUri(entry.pkcs11),
      entry.algorithm,
    );
    return { ...signer, name, place: { pkcs11: entry.pkcs11, module: entry.module }, certificateFile };
  }
  const file = join(dir, entry.file);
  const privateKey = parsePrivateKey(await readKeyFile(file), file);
  if (algorithmOf(privateKey) !== entry.algorithm) {
    throw new MblError('keys/bad-key', `${file} does not hold an ${entry.algorithm} key as keys.json says`, {
      remedy: 'Restore the right file from a backup.',
    });
  }
  return { ...memorySigner(privateKey), name, place: { file }, certificateFile };
}

async function readKeyFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new MblError('keys/missing-key', `the key file ${file} is missing or not readable`, {
      cause,
      remedy: 'Restore it from a backup, or make a new key set in another folder with `mbl keys init`.',
      details: { file },
    });
  }
}

function parsePrivateKey(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new MblError('keys/bad-key', `${file} is not a private key in PEM`, {
      cause,
      remedy: 'Restore it from a backup; a key with a passphrase belongs into a PKCS #11 token.',
    });
  }
}

/**
 * What signs with one key, in a PKCS #8 PEM or in a token; for who has a key and no key set. A token's key must be EC P-256.
 *
 * Throws `keys/missing-key`, `keys/bad-key`, `keys/bad-uri`.
 */
export async function openSigner(place: KeyPlace, options: LoadKeysOptions = {}): Promise<Signer> {
  if ('file' in place) return memorySigner(parsePrivateKey(await readKeyFile(place.file), place.file));
  const access = {
    environment: options.environment ?? process.env,
    module: place.module,
    inTurn: oneAtATime(),
  };
  return tokenSigner(access, parseTokenUri(place.pkcs11), 'ec-p256');
}

/** The private key's file, for a tool that cannot use a token. Throws `keys/needs-file`. */
export function privateKeyFile(key: KeyRef): string {
  if ('file' in key.place) return key.place.file;
  throw new MblError(
    'keys/needs-file',
    `the key "${key.name}" is in a token, and this step needs it in a file`,
    {
      remedy: 'Use a key set whose keys.json names a file for it.',
    },
  );
}

/** The certificate of a key that has one. */
export async function loadCertificate(key: KeyRef): Promise<X509Certificate> {
  if (key.certificateFile === undefined)
    throw new MblError('keys/no-certificate', `the key "${key.name}" has no certificate`);
  return parseCertificate(await readKeyFile(key.certificateFile));
}

/** The set's device CA, ready to issue. */
export async function deviceCa(keys: KeySet): Promise<CertificateAuthority> {
  const signer = keys.keys['device-ca'];
  return { signer, certificate: await loadCertificate(signer) };
}
