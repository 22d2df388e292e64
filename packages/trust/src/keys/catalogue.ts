// SPDX-License-Identifier: Apache-2.0
import type { KeyAlgorithm } from '../signer.ts';

/** One key of an image's key set. */
export interface KeyDescription {
  readonly algorithm: KeyAlgorithm;
  /** The file of a private key, beside `keys.json`. */
  readonly file: string;
  /** The file of its certificate, for keys that come with a self-signed one. */
  readonly certificate?: string;
  /** A certificate that may sign others. */
  readonly authority?: boolean;
  /** For the README: what the key signs. */
  readonly signs: string;
  /** For the README: what follows when it is lost, and when somebody else has it. */
  readonly loss: string;
}

const contentLoss =
  'A new one is certified by the key above it with the next firmware; stolen: others can sign this firmware.';
const tufLoss = 'Replaced by new metadata that the TUF root key signs.';

/** Every key of a set, in the order of the chain of trust (TF-A: KEY_ALG=ecdsa, Trusted Board Boot). */
export const keyCatalogue = {
  'root-of-trust': {
    algorithm: 'ec-p256',
    file: 'root-of-trust.key',
    signs:
      "BL2 and the key certificates. The hash of its public key is in BL1, in a product in the chip's fuses",
    loss: 'Lost: boards in the field never get new firmware. Stolen: others can boot anything on them. Cannot be replaced.',
  },
  'trusted-world': {
    algorithm: 'ec-p256',
    file: 'trusted-world.key',
    signs: 'the certificates of BL31 and BL32 keys',
    loss: contentLoss,
  },
  'non-trusted-world': {
    algorithm: 'ec-p256',
    file: 'non-trusted-world.key',
    signs: 'the certificate of the BL33 key',
    loss: contentLoss,
  },
  bl31: { algorithm: 'ec-p256', file: 'bl31.key', signs: 'BL31 (secure monitor)', loss: contentLoss },
  bl32: { algorithm: 'ec-p256', file: 'bl32.key', signs: 'BL32 (OP-TEE)', loss: contentLoss },
  bl33: {
    algorithm: 'ec-p256',
    file: 'bl33.key',
    signs: 'BL33 (U-Boot with the FIT key inside)',
    loss: contentLoss,
  },
  fit: {
    algorithm: 'rsa-3072',
    file: 'fit.key',
    certificate: 'fit.crt',
    signs: 'the FIT: kernel, initramfs, device tree and the root hash of the root file system',
    loss: 'Lost: no new kernel or root until new firmware with another FIT key is installed. Stolen: others can sign an OS.',
  },
  ta: {
    algorithm: 'rsa-2048',
    file: 'ta.key',
    signs: 'trusted applications of OP-TEE',
    loss: 'Lost: trusted applications change only together with OP-TEE. Stolen: others can run code in the TEE.',
  },
  'tuf-root': {
    algorithm: 'ed25519',
    file: 'tuf-root.key',
    signs: 'the TUF root role: which keys may sign releases. Keep it offline',
    loss: 'Lost: roles can never change again. Stolen: others can take over the roles.',
  },
  'tuf-targets': {
    algorithm: 'ed25519',
    file: 'tuf-targets.key',
    signs: 'the TUF targets role: releases',
    loss: tufLoss,
  },
  'tuf-snapshot': {
    algorithm: 'ed25519',
    file: 'tuf-snapshot.key',
    signs: 'the TUF snapshot role',
    loss: tufLoss,
  },
  'tuf-timestamp': {
    algorithm: 'ed25519',
    file: 'tuf-timestamp.key',
    signs: 'the TUF timestamp role',
    loss: tufLoss,
  },
  'device-ca': {
    algorithm: 'ec-p256',
    file: 'device-ca.key',
    certificate: 'device-ca.crt',
    authority: true,
    signs: 'device certificates, when a device enrols',
    loss: 'Lost: no new devices, and the present ones end with their certificates. Stolen: others can pose as any device.',
  },
} as const satisfies Readonly<Record<string, KeyDescription>>;

export type KeyName = keyof typeof keyCatalogue;

export const keyNames = Object.keys(keyCatalogue) as KeyName[];

/** The keys that sign an image. */
export const imageKeyNames = [
  'root-of-trust',
  'trusted-world',
  'non-trusted-world',
  'bl31',
  'bl32',
  'bl33',
  'fit',
  'ta',
] as const satisfies readonly KeyName[];

export function describeKey(name: KeyName): KeyDescription {
  return keyCatalogue[name];
}
