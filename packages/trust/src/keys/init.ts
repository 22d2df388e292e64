// SPDX-License-Identifier: Apache-2.0
import { generateKeyPair, type KeyObject } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { certificatePem, selfSign } from '../certificates.ts';
import { MblError } from '../errors.ts';
import { type KeyAlgorithm, memorySigner, type Signer } from '../signer.ts';
import { describeKey, type KeyName, keyNames } from './catalogue.ts';
import { indexFileName, type KeyEntry, type KeyIndex, type KeyProfile } from './index-file.ts';
import { type KeySet, loadKeyRefs, loadKeys } from './key-set.ts';
import { type TokenKey, tokenUri } from './pkcs11-uri.ts';
import { deleteTokenKey, generateTokenKey, listKeys, type TokenAccess, tokenSigner } from './token.ts';
import { imagePublicKeys, sealOf } from './profile.ts';
import { readme } from './readme.ts';

export interface InitKeysOptions {
  /** Written into the set, and sealed: `production` keys sign no image that lets somebody in. */
  readonly profile: KeyProfile;
  /** Makes the private keys inside this token instead of in files. */
  readonly pkcs11?: { readonly module: string; readonly token: string };
  /** Holds `MBL_PKCS11_PIN` or `MBL_PKCS11_PIN_FILE`. Default: the process's. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Makes the key set of an image in `dir`, which must be empty or not exist. All or nothing: the folder appears complete.
 *
 * Throws `keys/exists`, and with a token `keys/token-occupied`, `keys/no-token`, `keys/wrong-pin` and the like.
 */
export async function initKeys(dir: string, options: InitKeysOptions): Promise<KeySet> {
  const target = resolve(dir);
  await refuseToOverwrite(target);
  await mkdir(dirname(target), { recursive: true });
  const made: Required<TokenKey>[] = [];
  const access = { module: options.pkcs11?.module ?? '', environment: options.environment ?? process.env };
  // On the same file system, so that the rename is atomic.
  const partial = await mkdtemp(join(dirname(target), `.${basename(target)}.partial-`));
  try {
    if (options.pkcs11 !== undefined) await refuseOccupiedToken(access, options.pkcs11.token);
    const keys: Partial<Record<KeyName, KeyEntry>> = {};
    for (const name of keyNames) {
      keys[name] =
        options.pkcs11 === undefined
          ? await makeInFile(partial, name)
          : await makeInToken(partial, name, access, options.pkcs11.token, made);
    }
    const { profile } = options;
    const complete = keys as Record<KeyName, KeyEntry>;
    const draft: KeyIndex = { version: 1, profile, keys: complete };
    const refs = await loadKeyRefs(partial, draft, access.environment);
    const index: KeyIndex = {
      version: 1,
      profile,
      seal: sealOf(profile, await imagePublicKeys(refs)),
      keys: complete,
    };
    await writeDurably(partial, indexFileName, `${JSON.stringify(index, null, 2)}\n`);
    await writeDurably(partial, 'README.txt', readme(index));
    await rename(partial, target);
    await syncFolder(dirname(target));
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    for (const key of made) await deleteTokenKey(access, key).catch(() => undefined);
    if (isRenameConflict(cause)) throw exists(target);
    throw cause;
  }
  return loadKeys(target, { environment: access.environment });
}

async function refuseToOverwrite(target: string): Promise<void> {
  let entries: string[];
  try {
    entries = await readdir(target);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return;
    throw new MblError('keys/exists', `${target} cannot become a key folder`, {
      cause,
      remedy: 'Choose another folder.',
    });
  }
  if (entries.length > 0) throw exists(target);
}

function exists(target: string): MblError {
  return new MblError('keys/exists', `${target} is not empty; keys are never overwritten`, {
    remedy: 'Choose another folder, or move this one away if no device depends on its keys.',
    details: { dir: target },
  });
}

function isRenameConflict(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOTEMPTY' || cause.code === 'EEXIST');
}

async function refuseOccupiedToken(access: TokenAccess, token: string): Promise<void> {
  const taken = (await listKeys(access, token)).find(({ label }) =>
    keyNames.some((name) => tokenLabel(name) === label),
  );
  if (taken === undefined) return;
  throw new MblError('keys/token-occupied', `the token "${token}" already holds the key "${taken.label}"`, {
    remedy: 'Use another token, or write a keys.json for the keys that it holds.',
  });
}

async function makeInFile(dir: string, name: KeyName): Promise<KeyEntry> {
  const { algorithm, file } = describeKey(name);
  const key = await generate(algorithm);
  await writeDurably(dir, file, key.export({ type: 'pkcs8', format: 'pem' }));
  return { algorithm, file, ...(await makeCertificate(dir, name, memorySigner(key))) };
}

async function makeInToken(
  dir: string,
  name: KeyName,
  access: TokenAccess,
  token: string,
  made: Required<TokenKey>[],
): Promise<KeyEntry> {
  const described = describeKey(name).algorithm;
  // Few tokens know Ed25519; TUF takes either.
  const algorithm = described === 'ed25519' ? 'ec-p256' : described;
  const label = tokenLabel(name);
  const key = { token, object: label, id: Buffer.from(label).toString('hex') };
  made.push(key);
  await generateTokenKey(access, key, algorithm);
  const certificate = await makeCertificate(dir, name, tokenSigner(access, key, algorithm));
  return { algorithm, pkcs11: tokenUri(key), module: access.module, ...certificate };
}

function tokenLabel(name: KeyName): string {
  return `mbl-${name}`;
}

async function makeCertificate(
  dir: string,
  name: KeyName,
  signer: Signer,
): Promise<{ certificate?: string }> {
  const { certificate, authority } = describeKey(name);
  if (certificate === undefined) return {};
  const subject = { commonName: authority === true ? 'MBL device CA' : `MBL ${name}` };
  await writeDurably(
    dir,
    certificate,
    certificatePem(await selfSign(signer, { subject, authority: authority === true })),
  );
  return { certificate };
}

function generate(algorithm: KeyAlgorithm): Promise<KeyObject> {
  const generatePair = promisify(generateKeyPair);
  const pair =
    algorithm === 'ed25519'
      ? generatePair('ed25519')
      : algorithm === 'ec-p256'
        ? generatePair('ec', { namedCurve: 'P-256' })
        : generatePair('rsa', { modulusLength: algorithm === 'rsa-2048' ? 2048 : 3072 });
  return pair.then(({ privateKey }) => privateKey);
}

async function writeDurably(dir: string, name: string, content: string | Buffer): Promise<void> {
  await using file = await open(join(dir, name), 'wx', 0o600);
  await file.writeFile(content);
  await file.sync();
}

async function syncFolder(dir: string): Promise<void> {
  await using folder = await open(dir, 'r');
  await folder.sync();
}
