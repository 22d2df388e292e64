// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { flag, value, verb } from '../../verb.ts';
import { keysFolder } from '../../workspace.ts';

export const initialiseKeys = verb({
  name: 'init',
  description: 'make a key set; one that is there is never overwritten',
  options: {
    keys: value('folder', 'where (default: .mbl/keys)'),
    production: flag("mark the set as a product's, not as one for development"),
    pkcs11Module: value('file', 'make the private keys in a PKCS#11 token: its module (PIN: MBL_PKCS11_PIN)'),
    token: value('label', 'the token'),
  },
  async run({ output, workspace, environment }, { keys, production, pkcs11Module, token }) {
    const { initKeys, MblError } = await import('@mbl/trust');
    const { releaseRoot } = await import('../../workbench/releases.ts');
    const { printKeys } = await import('./list.ts');
    if ((pkcs11Module === undefined) !== (token === undefined)) {
      throw new MblError(
        'cli/token-incomplete',
        'A key set in a token needs both its module and its label.',
        {
          remedy: 'As in: ./mbl keys init --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --token product',
        },
      );
    }
    const folder = keysFolder(workspace, keys);
    const made = await output.progress.phase('make keys', async () => {
      const keys = await initKeys(folder, {
        profile: production ? 'production' : 'development',
        environment: { ...environment },
        ...(pkcs11Module === undefined || token === undefined
          ? {}
          : { pkcs11: { module: pkcs11Module, token } }),
      });
      await releaseRoot(keys);
      return keys;
    });
    await printKeys(output, made);
    if (!production) {
      const where = token === undefined ? 'in plain files' : 'in a token';
      output.remark(
        `Development keys, ${where}: for this machine and its virtual boards, never for a product.`,
      );
    } else if (token === undefined) {
      output.remark(
        `Production keys in plain files: move ${folder} to a safe place, and keep a copy offline.`,
      );
    }
    output.remark(
      `${join(folder, 'README.txt')} says what each key signs and what follows when it is lost or stolen.`,
    );
  },
});
