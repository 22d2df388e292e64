// SPDX-License-Identifier: Apache-2.0
import { describeKey, keyNames } from './catalogue.ts';
import type { KeyIndex } from './index-file.ts';

/** README.txt of a key folder: for the person who finds it. */
export function readme(index: KeyIndex): string {
  const intoToken = keyNames.some((name) => 'pkcs11' in index.keys[name]);
  const lines = [
    `The key set of an MBL image (${index.profile}).`,
    '',
    'WHOEVER HAS THESE PRIVATE KEYS OWNS EVERY DEVICE THAT TRUSTS THEM.',
    'Never commit, mail or copy this folder to a shared disk. Back it up encrypted, offline, in two places,',
    'and try the backup. Lost keys cannot be made again.',
    '',
    ...(index.profile === 'development'
      ? ['These are development keys: do not ship a device that trusts them.', '']
      : []),
    ...(intoToken
      ? [
          'The private keys are in a PKCS #11 token; keys.json says which. This folder holds no private key of those.',
          '',
        ]
      : []),
  ];
  for (const name of keyNames) {
    const { signs, loss } = describeKey(name);
    const entry = index.keys[name];
    const place = 'file' in entry ? entry.file : entry.pkcs11;
    const certificate = entry.certificate === undefined ? '' : `, certificate ${entry.certificate}`;
    lines.push(
      `${name}  (${entry.algorithm}, ${place}${certificate})`,
      `  signs: ${signs}.`,
      `  ${loss}`,
      '',
    );
  }
  lines.push(
    'Not here: service-ca, which signs the TLS certificates of the device management service. The service makes it at its first start, in',
    'the folder ca of its own state (service-ca.key, service-ca.pem; in a working copy: .mbl/service/ca). Every device trusts the one in its',
    'factory configuration: lost, no new service can take the devices over; stolen, others can pose as the service.',
    '',
    'keys.json names each key: { "file": ... } beside it, or { "pkcs11": "pkcs11:token=...;object=...", "module": "/path.so" }',
    'for a key in a token, whose PIN is read from MBL_PKCS11_PIN or from the file named by MBL_PKCS11_PIN_FILE. Its profile says what the keys',
    'are for: production keys sign no image that lets somebody in. Its seal binds the profile to the keys that sign an image.',
    '',
  );
  return lines.join('\n');
}
