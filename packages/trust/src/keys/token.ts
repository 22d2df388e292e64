// SPDX-License-Identifier: Apache-2.0
import { type ExecFileException, execFile } from 'node:child_process';
import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { MblError } from '../errors.ts';
import { algorithmOf, type KeyAlgorithm, type Signer } from '../signer.ts';
import type { TokenKey } from './pkcs11-uri.ts';

/** Where tokens are reached and how their PIN is found. */
export interface TokenAccess {
  /** Path of the PKCS #11 module (a shared library). */
  readonly module: string;
  /** `MBL_PKCS11_PIN` or `MBL_PKCS11_PIN_FILE` holds the user PIN. */
  readonly environment: NodeJS.ProcessEnv;
  /** Runs the operations of a key set one after another: not every module bears two processes at once. Default: at once. */
  readonly inTurn?: InTurn;
}

export type InTurn = <T>(operation: () => Promise<T>) => Promise<T>;

/** Each operation starts when the one before has ended, well or not. */
export function oneAtATime(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return async (operation) => {
    const next = last.then(operation, operation);
    last = next.catch(() => undefined);
    return await next;
  };
}

const timeoutMs = 60_000;
const tokenKeyTypes: Readonly<Record<KeyAlgorithm, string>> = {
  'ec-p256': 'EC:prime256v1',
  ed25519: 'EC:edwards25519',
  'rsa-2048': 'rsa:2048',
  'rsa-3072': 'rsa:3072',
};

/** DigestInfo of SHA-256 before its digest (RFC 8017 §9.2, note 1). */
const sha256Prefix = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** A signer over a key in a token. */
export interface TokenSigner extends Signer {
  /** The signature that `sign` makes, over a SHA-256 that another program computed. Not for ed25519. */
  signDigest(digest: Uint8Array): Promise<Buffer>;
}

/** A signer whose private key stays in a token; each operation runs OpenSC's `pkcs11-tool`. */
export function tokenSigner(access: TokenAccess, key: TokenKey, algorithm: KeyAlgorithm): TokenSigner {
  let publicPem: Promise<string> | undefined;
  let keyId: Promise<string> | undefined;
  const run = async (mechanism: readonly string[], input: Uint8Array): Promise<Buffer> => {
    keyId ??= key.id === undefined ? findId(access, key) : Promise.resolve(key.id);
    // `--label` does not select private keys when signing; `--id` does.
    const args = ['--token-label', key.token, '--login', '--sign', '--id', await keyId];
    return runTool(access, [...args, '--mechanism', ...mechanism], input);
  };
  // Raw mechanisms: many tokens do not hash.
  const signDigest = async (digest: Uint8Array): Promise<Buffer> =>
    algorithm === 'ec-p256'
      ? run(['ECDSA', '--signature-format', 'openssl'], digest)
      : run(['RSA-PKCS'], Buffer.concat([sha256Prefix, digest]));
  return {
    algorithm,
    publicKey() {
      publicPem ??= readPublicKey(access, key, algorithm);
      return publicPem;
    },
    async sign(data) {
      if (algorithm === 'ed25519') return run(['EDDSA'], data);
      return signDigest(createHash('sha256').update(data).digest());
    },
    signDigest,
  };
}

async function readPublicKey(access: TokenAccess, key: TokenKey, algorithm: KeyAlgorithm): Promise<string> {
  const select = key.id === undefined ? ['--label', key.object ?? ''] : ['--id', key.id];
  const bytes = await runTool(access, [
    '--token-label',
    key.token,
    '--read-object',
    '--type',
    'pubkey',
    ...select,
  ]);
  const pem = bytes.subarray(0, 11).toString('latin1') === '-----BEGIN ';
  try {
    const publicKey = createPublicKey(pem ? bytes : { key: bytes, format: 'der', type: 'spki' });
    if (algorithmOf(publicKey) === algorithm) return publicKey.export({ type: 'spki', format: 'pem' });
  } catch (cause) {
    throw new MblError('keys/bad-key', `the token's public key ${keyTitle(key)} is not readable`, { cause });
  }
  throw new MblError('keys/bad-key', `the token's key ${keyTitle(key)} is not of type ${algorithm}`);
}

function keyTitle(key: TokenKey): string {
  return `${key.object ?? key.id} in ${key.token}`;
}

/** The labels and ids of the token's public keys. */
export async function listKeys(access: TokenAccess, token: string): Promise<{ label: string; id: string }[]> {
  const text = (
    await runTool(access, ['--token-label', token, '--list-objects', '--type', 'pubkey'])
  ).toString('utf8');
  return text.split(/^Public Key Object/m).flatMap((block) => {
    const label = /^ +label: +(.+)$/m.exec(block)?.[1];
    const id = /^ +ID: +([0-9a-f]+)$/m.exec(block)?.[1];
    return label === undefined || id === undefined ? [] : [{ label, id }];
  });
}

async function findId(access: TokenAccess, key: TokenKey): Promise<string> {
  const matches = (await listKeys(access, key.token)).filter(({ label }) => label === key.object);
  const [first] = matches;
  if (first !== undefined && matches.length === 1) return first.id;
  throw new MblError('keys/no-key', `${matches.length === 0 ? 'no' : 'more than one'} key ${keyTitle(key)}`, {
    remedy:
      'List them with `pkcs11-tool --module <module> --token-label <token> --list-objects`, and name one by id in keys.json.',
  });
}

/** Makes a key pair that the token does not give away. */
export async function generateTokenKey(
  access: TokenAccess,
  key: Required<TokenKey>,
  algorithm: KeyAlgorithm,
): Promise<void> {
  const type = ['--key-type', tokenKeyTypes[algorithm], '--usage-sign'];
  const named = ['--label', key.object, '--id', key.id];
  await runTool(access, ['--token-label', key.token, '--login', '--keypairgen', ...type, ...named]);
}

export async function deleteTokenKey(access: TokenAccess, key: Required<TokenKey>): Promise<void> {
  for (const type of ['privkey', 'pubkey']) {
    await runTool(access, [
      '--token-label',
      key.token,
      '--login',
      '--delete-object',
      '--type',
      type,
      '--id',
      key.id,
    ]);
  }
}

function readPin(environment: NodeJS.ProcessEnv): string {
  const file = environment['MBL_PKCS11_PIN_FILE'];
  let pin = environment['MBL_PKCS11_PIN'];
  if (pin === undefined && file !== undefined) {
    try {
      pin = readFileSync(file, 'utf8').trim();
    } catch (cause) {
      throw new MblError('keys/no-pin', `the PIN file ${file} is not readable`, {
        cause,
        remedy: 'Correct MBL_PKCS11_PIN_FILE.',
      });
    }
  }
  if (pin !== undefined && pin !== '') return pin;
  throw new MblError('keys/no-pin', 'the keys are in a PKCS #11 token and its PIN is not known', {
    remedy: 'Set MBL_PKCS11_PIN, or MBL_PKCS11_PIN_FILE to a file that holds it.',
  });
}

/** Runs `pkcs11-tool` when it is its turn; what it writes to its output. */
async function runTool(access: TokenAccess, args: readonly string[], input?: Uint8Array): Promise<Buffer> {
  const { inTurn = (operation) => operation() } = access;
  return inTurn(() => runToolNow(access, args, input));
}

/** The PIN travels in the child's environment, not in its arguments. */
async function runToolNow(
  access: TokenAccess,
  args: readonly string[],
  input: Uint8Array | undefined,
): Promise<Buffer> {
  const login = args.includes('--login');
  const env = {
    ...access.environment,
    LC_ALL: 'C',
    ...(login ? { MBL_PKCS11_PIN: readPin(access.environment) } : {}),
  };
  const all = ['--module', access.module, ...args, ...(login ? ['--pin', 'env:MBL_PKCS11_PIN'] : [])];
  return new Promise((resolve, reject) => {
    const options = { env, encoding: 'buffer', timeout: timeoutMs, maxBuffer: 1 << 20 } as const;
    const child = execFile('pkcs11-tool', all, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(toolError(access, args, error, stderr.toString('utf8')));
    });
    // The tool may end before it reads: its exit status says why.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

function toolError(
  access: TokenAccess,
  args: readonly string[],
  error: ExecFileException,
  stderr: string,
): MblError {
  const token = args[args.indexOf('--token-label') + 1];
  const cause = new Error(stderr.trim() || error.message);
  const fail = (code: string, message: string, remedy: string) =>
    new MblError(code, message, { remedy, cause });
  if (error.code === 'ENOENT') {
    return fail(
      'keys/no-pkcs11-tool',
      'pkcs11-tool is not installed',
      'Install it with `apt-get install opensc`.',
    );
  }
  if (/Failed to load pkcs11 module/i.test(stderr)) {
    return fail(
      'keys/no-module',
      `the PKCS #11 module ${access.module} cannot be loaded`,
      'Correct the path of the module.',
    );
  }
  if (/No slot with (a )?token/i.test(stderr)) {
    return fail(
      'keys/no-token',
      `there is no token "${token}"`,
      'Insert it, or list tokens with `pkcs11-tool --list-token-slots`.',
    );
  }
  if (/CKR_PIN_LOCKED/.test(stderr)) {
    return fail(
      'keys/pin-locked',
      `the PIN of token "${token}" is locked`,
      'Unlock it with `pkcs11-tool --init-pin --login --login-type so`.',
    );
  }
  if (/CKR_PIN_/.test(stderr)) {
    return fail(
      'keys/wrong-pin',
      `the PIN of token "${token}" is wrong`,
      'Correct MBL_PKCS11_PIN; a few more tries may lock the token.',
    );
  }
  if (/not found/i.test(stderr)) {
    return fail(
      'keys/no-key',
      `the token "${token}" has no such key`,
      'Compare keys.json with `pkcs11-tool --list-objects`.',
    );
  }
  return fail(
    'keys/token-failed',
    `pkcs11-tool failed: ${stderr.trim().split('\n')[0] ?? error.message}`,
    'Try the same by hand with pkcs11-tool.',
  );
}
