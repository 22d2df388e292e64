// SPDX-License-Identifier: Apache-2.0
import { createPublicKey } from 'node:crypto';
import { join, relative } from 'node:path';
import {
  initKeys,
  keyCatalogue,
  keyFingerprint,
  type KeySet,
  keyNames,
  loadKeys,
  MblError,
} from '@mbl/trust';
import type { Cli, Outcome } from '../cli.ts';
import { type KeysOptions, keysFolder } from '../workbench/keys.ts';

export interface InitOptions extends KeysOptions {
  production?: boolean;
  pkcs11Module?: string;
  token?: string;
}

/** Makes a key set. */
export async function initialiseKeys(cli: Cli, options: InitOptions): Outcome {
  const { output } = cli;
  if ((options.pkcs11Module === undefined) !== (options.token === undefined)) {
    throw new MblError('cli/token-incomplete', 'A key set in a token needs both its module and its label.', {
      remedy: 'As in: ./mbl keys init --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --token product',
    });
  }
  const folder = keysFolder(cli, options);
  const profile = options.production === true ? 'production' : 'development';
  const keys = await output.progress.phase('make keys', async () =>
    initKeys(folder, {
      profile,
      environment: { ...cli.environment },
      ...(options.pkcs11Module === undefined || options.token === undefined
        ? {}
        : { pkcs11: { module: options.pkcs11Module, token: options.token } }),
    }),
  );
  await list(cli, keys);
  if (profile === 'development') {
    const where = options.token === undefined ? 'in plain files' : 'in a token';
    output.remark(
      `Development keys, ${where}: for this machine and its virtual boards, never for a product.`,
    );
  } else if (options.token === undefined) {
    output.remark(`Production keys in plain files: move ${folder} to a safe place, and keep a copy offline.`);
  }
  output.remark(
    `${join(folder, 'README.txt')} says what each key signs and what follows when it is lost or stolen.`,
  );
}

/** Lists a key set: never a private key. */
export async function showKeys(cli: Cli, options: KeysOptions): Outcome {
  await list(cli, await loadKeys(keysFolder(cli, options), { environment: { ...cli.environment } }));
}

async function list(cli: Cli, keys: KeySet): Promise<void> {
  const { output } = cli;
  const rows = await Promise.all(
    keyNames.map(async (name) => {
      const key = keys.keys[name];
      return {
        name,
        algorithm: key.algorithm,
        fingerprint: keyFingerprint(createPublicKey(await key.publicKey())),
        place: 'file' in key.place ? key.place.file : key.place.pkcs11,
        signs: keyCatalogue[name].signs,
      };
    }),
  );
  output.value({ profile: keys.profile, folder: keys.dir, keys: rows });
  output.line(`${keys.profile} keys in ${keys.dir}`);
  output.line();
  output.table(
    ['KEY', 'KIND', 'SHA-256 OF THE PUBLIC KEY', 'WHERE'],
    rows.map(({ name, algorithm, fingerprint: print, place }) => [
      name,
      algorithm,
      print.slice(0, 32),
      place.startsWith('/') ? relative(keys.dir, place) : place,
    ]),
  );
}
