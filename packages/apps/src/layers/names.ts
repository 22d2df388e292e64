// SPDX-License-Identifier: Apache-2.0
import { longestTarName } from '@mbl/blocks';
import { badImage, tooLarge } from '../errors.ts';

/**
 * The parts of a name in a layer. A slash at the start means the image's root, as for other tools; a part that goes back is refused, and so is
 * what no path can be. The root itself has no parts.
 */
export function partsOf(name: string, depth: number): string[] {
  const parts = name.split('/').filter((part) => part !== '.' && part !== '');
  if (parts.includes('..')) throw badImage(`the name "${shown(name)}" leads out of the image`);
  if (name.includes('\0')) throw badImage(`the name "${shown(name)}" has a NUL in it`);
  // The replacement character: the bytes were not UTF-8, and two such names could become one.
  if (name.includes('\ufffd')) throw badImage(`the name "${shown(name)}" is not UTF-8`);
  if (Buffer.byteLength(name) > longestTarName || parts.some((part) => Buffer.byteLength(part) > 255))
    throw badImage(`the name "${shown(name)}" is too long`);
  if (parts.length > depth) throw tooLarge(`"${shown(name)}" lies more than ${depth} folders deep`);
  return parts;
}

/** A name for a message. */
export function shown(name: string): string {
  const plain = name.replaceAll(/\p{Cc}/gu, '?');
  return plain.length > 120 ? `${plain.slice(0, 117)}…` : plain;
}
