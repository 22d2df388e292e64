// SPDX-License-Identifier: Apache-2.0
import type { KeyProfile } from '@mbl/trust';
import { buildCpio } from './cpio.ts';

/** How a verity root is opened: what `root.json` says of it. */
export interface RootReference {
  /** Bytes of the file system; the hash tree starts at `hashOffset`. Both are multiples of 4096. */
  readonly dataSize: number;
  readonly hashOffset: number;
  /** SHA-256, hex. */
  readonly rootHash: string;
  readonly salt: string;
}

/** The lines of `/etc/root.conf` that name a root. */
export function rootReferenceText({ dataSize, hashOffset, rootHash, salt }: RootReference): string {
  return [
    `ROOT_DATA_BLOCKS=${dataSize / 4096}`,
    `ROOT_HASH_START=${hashOffset / 4096}`,
    `ROOT_HASH=${rootHash}`,
    `ROOT_SALT=${salt === '' ? '-' : salt}`,
    '',
  ].join('\n');
}

/**
 * The part of the initramfs that names one root file system and no other: `/etc/root.conf`, `/etc/root.salt`, `/init`. It says too what
 * the keys are for that sign it, and where the board's disk is (a path below /sys/devices).
 */
export function rootReferenceCpio(
  root: RootReference,
  { keys, disk }: { readonly keys: KeyProfile; readonly disk: string },
  init: Uint8Array,
): Buffer {
  const conf = `${rootReferenceText(root)}KEYS=${keys}\nDISK=${disk}\n`;
  return buildCpio([
    { path: 'init', type: 'file', data: init, executable: true },
    { path: 'etc', type: 'directory' },
    { path: 'etc/root.conf', type: 'file', data: Buffer.from(conf) },
    { path: 'etc/root.salt', type: 'file', data: Buffer.from(root.salt, 'hex') },
  ]);
}
