// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

// System V ABI, "Program Header" and "Dynamic Section"; ELF-64 Object File Format, §6 and §8.
const programHeaderSize = 56;
const dynamicEntrySize = 16;
const segmentType = { load: 1, dynamic: 2, interpreter: 3, note: 4 } as const;
const readable = 4;
const tag = { null: 0n, stringTable: 5n, rpath: 15n, runpath: 29n } as const;

/**
 * Binds a program to a loader and to folders of libraries (`a:b`, absolute), so that it runs with its own C library wherever it lies and
 * whoever starts it. Returns the new bytes; undefined for what is no dynamically linked 64-bit ELF program (a script, a library, a
 * static program).
 *
 * Both texts are appended in a read-only segment of their own, whose program header takes the place of a note's; the search path goes
 * into one of the spare entries that GNU ld leaves at the end of the dynamic section. As DT_RPATH, not DT_RUNPATH, it holds for the
 * libraries of libraries and for what is loaded later, too. Throws `builder/tool-unusable` when the program has no room.
 */
export function relocateProgram(elf: Buffer, loader: string, libraries: string): Buffer | undefined {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) return undefined;
  const table = Number(elf.readBigUInt64LE(32));
  const count = elf.readUInt16LE(56);
  if (table + count * programHeaderSize > elf.length) return undefined;
  const headers = Array.from({ length: count }, (_, i) =>
    Buffer.from(elf.subarray(table + i * programHeaderSize, table + (i + 1) * programHeaderSize)),
  );
  const interpreter = headers.find((header) => typeOf(header) === segmentType.interpreter);
  const dynamic = headers.find((header) => typeOf(header) === segmentType.dynamic);
  if (interpreter === undefined || dynamic === undefined) return undefined;

  const loads = headers.filter((header) => typeOf(header) === segmentType.load).map(extentOf);
  const note = headers.findIndex((header) => typeOf(header) === segmentType.note);
  if (note < 0) throw unusable('it has no note to give up');
  const alignment = Math.max(0x1000, ...loads.map(({ align }) => align));
  const up = (value: number): number => Math.ceil(value / alignment) * alignment;
  const address = up(Math.max(...loads.map(({ address: start, memory }) => start + memory)));
  const offset = up(elf.length);
  const texts = Buffer.from(`${loader}\0${libraries}\0`);
  const result = Buffer.alloc(offset + texts.length);
  elf.copy(result);
  texts.copy(result, offset);

  addSearchPath(result, extentOf(dynamic), address + Buffer.byteLength(loader) + 1);
  place(interpreter, offset, address, Buffer.byteLength(loader) + 1);
  const segment = Buffer.alloc(programHeaderSize);
  segment.writeUInt32LE(segmentType.load, 0);
  segment.writeUInt32LE(readable, 4);
  segment.writeBigUInt64LE(BigInt(alignment), 48);
  place(segment, offset, address, texts.length);
  headers.splice(note, 1);
  // Loadable segments stand in the order of their addresses.
  headers.splice(headers.findLastIndex((header) => typeOf(header) === segmentType.load) + 1, 0, segment);
  Buffer.concat(headers).copy(result, table);
  return result;
}

/** Makes the text at `address` the program's DT_RPATH; one that it had gives way. */
function addSearchPath(elf: Buffer, { offset, size }: ReturnType<typeof extentOf>, address: number): void {
  let strings: bigint | undefined;
  const slots: number[] = [];
  const ends: number[] = [];
  for (
    let at = offset;
    at + dynamicEntrySize <= Math.min(offset + size, elf.length);
    at += dynamicEntrySize
  ) {
    const kind = elf.readBigInt64LE(at);
    if (kind === tag.stringTable) strings = elf.readBigUInt64LE(at + 8);
    if (kind === tag.rpath || kind === tag.runpath) slots.push(at);
    if (kind === tag.null) ends.push(at);
  }
  const [spare, last] = ends;
  const slot = slots[0] ?? (last === undefined ? undefined : spare);
  if (strings === undefined || slot === undefined) throw unusable('its dynamic section has no room');
  elf.writeBigInt64LE(tag.rpath, slot);
  elf.writeBigUInt64LE(BigInt.asUintN(64, BigInt(address) - strings), slot + 8);
}

function typeOf(header: Buffer): number {
  return header.readUInt32LE(0);
}

/** Where a segment stands in the file and in memory, in bytes. */
function extentOf(header: Buffer): {
  offset: number;
  size: number;
  address: number;
  memory: number;
  align: number;
} {
  const field = (at: number): number => Number(header.readBigUInt64LE(at));
  return { offset: field(8), address: field(16), size: field(32), memory: field(40), align: field(48) };
}

function place(header: Buffer, offset: number, address: number, size: number): void {
  for (const [at, value] of [
    [8, offset],
    [16, address],
    [24, address],
    [32, size],
    [40, size],
  ] as const)
    header.writeBigUInt64LE(BigInt(value), at);
}

function unusable(why: string): MblError {
  return new MblError(
    'builder/tool-unusable',
    `A program of the toolbox cannot be bound to its libraries: ${why}.`,
    {
      remedy: 'Leave its package out of packages/builder/src/tools/contents.ts, or take another version.',
    },
  );
}
