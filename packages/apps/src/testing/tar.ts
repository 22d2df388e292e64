// SPDX-License-Identifier: Apache-2.0

/** An entry as a test wants it: anything may be wrong. */
export interface RawEntry {
  readonly name: string;
  /** The type flag; `0`, a file, by default, `5` for a name with a slash at its end. */
  readonly kind?: string;
  readonly data?: string | Buffer;
  /** What the header says, where that is not the size of the data. */
  readonly size?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly time?: number;
  readonly link?: string;
  /** Records of a pax header before it. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** Bytes laid over the header before its checksum is made, by their offset. */
  readonly patch?: Readonly<Record<number, string | Buffer>>;
}

/** A tar archive, header by header. Names over 100 bytes get a pax record. */
export function rawTar(entries: readonly RawEntry[], end = Buffer.alloc(1024)): Buffer {
  return Buffer.concat([...entries.flatMap(rawEntry), end]);
}

function rawEntry(entry: RawEntry): Buffer[] {
  const { name, data = '', pax = {} } = entry;
  const bytes = Buffer.from(data as Buffer);
  const records: Record<string, string | Buffer> = { ...pax };
  if (Buffer.byteLength(name) > 100) records['path'] ??= name;
  if (Buffer.byteLength(entry.link ?? '') > 100) records['linkpath'] ??= entry.link ?? '';
  const head =
    Object.keys(records).length === 0 ? [] : rawEntry({ name: 'pax', kind: 'x', data: paxOf(records) });
  const kind = entry.kind ?? (name.endsWith('/') ? '5' : '0');
  const block = Buffer.alloc(512);
  block.write(name.slice(0, 100), 0);
  const octal = (value: number, at: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  octal(entry.mode ?? (kind === '5' ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(entry.size ?? bytes.length, 124, 12);
  octal(entry.time ?? 0, 136, 12);
  block.write(kind, 156, 'latin1');
  block.write((entry.link ?? '').slice(0, 100), 157);
  block.write('ustar\x0000', 257, 'latin1');
  for (const [at, value] of Object.entries(entry.patch ?? {}))
    Buffer.from(value as Buffer).copy(block, Number(at));
  block.fill(' ', 148, 156);
  const sum = block.reduce((a, b) => a + b, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return [...head, block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
}

function paxOf(records: Readonly<Record<string, string | Buffer>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const bytes = Buffer.from(value as Buffer);
      const rest = Buffer.byteLength(` ${key}=\n`) + bytes.length;
      let length = rest + String(rest).length;
      length = rest + String(length).length;
      return Buffer.concat([Buffer.from(`${length} ${key}=`), bytes, Buffer.from('\n')]);
    }),
  );
}

/** An ELF file's first bytes, for a machine (183: arm64, 62: amd64). */
export function elf(machine: number): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  bytes.writeUInt16LE(2, 16);
  bytes.writeUInt16LE(machine, 18);
  return bytes;
}
