// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Tree } from './tree.ts';

/** The part of a 64-bit little-endian ELF file that the dynamic loader reads. */
export interface Elf {
  /** e_machine: 183 is AArch64, 62 x86-64. */
  readonly machine: number;
  readonly needed: readonly string[];
  readonly interpreter: string | undefined;
  readonly runPath: readonly string[];
}

const LOAD = 1;
const DYNAMIC = 2;
const INTERP = 3;

/** Undefined for what is no ELF file of that kind; throws `builder/bad-elf` for a broken one. */
export const readElf = (bytes: Buffer): Elf | undefined => {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1)
    return undefined;
  try {
    return parse(bytes);
  } catch (cause) {
    if (cause instanceof RangeError)
      throw new MblError('builder/bad-elf', 'An ELF file is cut off.', { cause });
    throw cause;
  }
};

const parse = (bytes: Buffer): Elf => {
  const long = (at: number): number => Number(bytes.readBigUInt64LE(at));
  const offset = long(32);
  const entrySize = bytes.readUInt16LE(54);
  const count = bytes.readUInt16LE(56);
  const segments = Array.from({ length: count }, (_, index) => {
    const at = offset + index * entrySize;
    return {
      type: bytes.readUInt32LE(at),
      offset: long(at + 8),
      address: long(at + 16),
      size: long(at + 32),
    };
  });
  const toFile = (address: number): number => {
    const segment = segments.find(
      (s) => s.type === LOAD && address >= s.address && address < s.address + s.size,
    );
    return segment ? address - segment.address + segment.offset : address;
  };
  const interp = segments.find(({ type }) => type === INTERP);
  const dynamic = segments.find(({ type }) => type === DYNAMIC);
  const tags: [number, number][] = [];
  if (dynamic)
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
      const tag = long(at);
      if (tag === 0) break;
      tags.push([tag, long(at + 8)]);
    }
  const strings = toFile(tags.find(([tag]) => tag === 5)?.[1] ?? 0);
  const name = (at: number): string => {
    const end = bytes.indexOf(0, strings + at);
    if (end < 0 || end - strings - at > 4096) throw new RangeError('name');
    return bytes.subarray(strings + at, end).toString();
  };
  const all = (wanted: number): string[] =>
    tags.filter(([tag]) => tag === wanted).map(([, value]) => name(value));
  return {
    machine: bytes.readUInt16LE(18),
    needed: all(1),
    // DT_RUNPATH, DT_RPATH
    runPath: [...all(29), ...all(15)].flatMap((list) => list.split(':')),
    interpreter: interp
      ? bytes
          .subarray(interp.offset, interp.offset + interp.size)
          .toString()
          .replace(/\0.*$/s, '')
      : undefined,
  };
};

const MACHINES = {
  arm64: { number: 183, triplet: 'aarch64-linux-gnu' },
  amd64: { number: 62, triplet: 'x86_64-linux-gnu' },
};

/**
 * Checks that every library that a program or library of the tree needs is in the tree, where the loader looks without a cache. Throws
 * `builder/missing-library` with the whole list.
 */
export const checkLibraries = (tree: Tree, architecture: keyof typeof MACHINES): void => {
  const { number, triplet } = MACHINES[architecture];
  const defaults = [`usr/lib/${triplet}`, 'usr/lib'];
  const missing: string[] = [];
  for (const { path, type, data, from } of tree.entries()) {
    if (type !== 'file' || path.endsWith('.ko')) continue;
    const elf = readElf(data);
    if (!elf) continue;
    if (elf.machine !== number) {
      missing.push(`/${path} (${from}) is not made for ${architecture}`);
      continue;
    }
    const here = path.slice(0, path.lastIndexOf('/'));
    const folders = [
      ...elf.runPath.map((folder) =>
        folder.replace(/^\$ORIGIN|^\$\{ORIGIN\}/, `/${here}`).replace(/^\//, ''),
      ),
      ...defaults,
      here,
    ];
    for (const library of elf.needed)
      if (!folders.some((folder) => tree.resolve(`${folder}/${library}`)))
        missing.push(`/${path} (${from}) needs ${library}`);
    if (elf.interpreter && !tree.resolve(elf.interpreter.slice(1)))
      missing.push(`/${path} (${from}) needs ${elf.interpreter}`);
  }
  if (missing.length > 0)
    throw new MblError('builder/missing-library', `Some programs would not start:\n${missing.join('\n')}`, {
      remedy: 'Add the Debian packages that hold these libraries to the image.',
      details: { missing },
    });
};
