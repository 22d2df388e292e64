// SPDX-License-Identifier: Apache-2.0
import { createPublicKey } from 'node:crypto';
import { relative } from 'node:path';
import { keyCatalogue, keyFingerprint, type KeySet, keyNames } from '@mbl/trust';
import type { Output } from '../../output.ts';

/** Prints a key set: never a private key. */
export async function printKeys(output: Output, keys: KeySet): Promise<void> {
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
