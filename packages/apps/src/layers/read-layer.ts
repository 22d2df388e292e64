// SPDX-License-Identifier: Apache-2.0
import { longestTarName, paxRecords, readHeader, tarBlock, type TarHeader, tarTypes } from '@mbl/blocks';
import { MblError } from '@mbl/trust';
import { badImage, ofImage } from '../errors.ts';
import type { Budget } from './budget.ts';
import { ByteReader } from './byte-reader.ts';
import { partsOf, shown } from './names.ts';
import { readNewSparse, readOldSparse, readPaxSparse, type SparseMap } from './sparse.ts';
import { type Content, emptyContent, type Spool } from './spool.ts';

/** An entry of a layer. */
export interface LayerEntry {
  /** From the image's root; the root itself has none. */
  readonly parts: readonly string[];
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** Target of a symbolic link, as written. */
  readonly link: string;
  /** Of a hard link, from the image's root. */
  readonly target: readonly string[];
  readonly content: Content;
  readonly attributes: ReadonlyMap<string, Buffer>;
}

/** What pax headers and long names before an entry say of it. */
interface Extra {
  path?: string;
  link?: string;
  size?: number;
  uid?: number;
  gid?: number;
  time?: number;
  readonly attributes: Map<string, Buffer>;
  readonly sparse: { major?: string; name?: string; size?: number; numbers: number[] };
}

const mostExtra = 1024 * 1024;
/** The kernel's bounds: `XATTR_NAME_MAX`, `XATTR_SIZE_MAX`. */
const attributeLimits = { name: 255, value: 65_536, count: 64 } as const;

/**
 * The entries of a layer, a tar archive: ustar, pax, GNU long names and sparse files, as Go's `archive/tar` reads them, which Docker and the
 * rest of the field stand on. Contents go to the spool. Throws `apps/bad-image`, `apps/too-large`, `apps/device-node`.
 */
export async function* readLayer(
  source: AsyncIterable<Buffer>,
  spool: Spool,
  budget: Budget,
): AsyncGenerator<LayerEntry> {
  const reader = new ByteReader(source);
  try {
    let extra = nothing();
    for (;;) {
      const block = await reader.read(tarBlock);
      // Some tools leave out the blocks that end an archive.
      if (block.length === 0) break;
      if (block.length < tarBlock) throw badImage('a layer is cut off');
      const header = readHeader(block);
      if (header === undefined) break;
      budget.entry();
      budget.text(header.name.length + header.link.length);
      if (['x', 'L', 'K', 'g'].includes(header.kind)) {
        budget.text(header.size);
        await readExtra(header, reader, extra);
        continue;
      }
      yield await readEntry(header, block, extra, { reader, spool, budget });
      extra = nothing();
    }
    await reader.drain();
  } catch (cause) {
    throw ofImage('a layer', cause);
  } finally {
    await reader.close();
  }
}

const nothing = (): Extra => ({ attributes: new Map(), sparse: { numbers: [] } });

async function readExtra({ kind, size }: TarHeader, reader: ByteReader, extra: Extra): Promise<void> {
  if (size > mostExtra) throw badImage('a header of a layer is too long');
  const data = await reader.read(size);
  if (data.length < size) throw badImage('a layer is cut off');
  await skipPadding(reader, size);
  const name = data.subarray(0, data.indexOf(0) < 0 ? data.length : data.indexOf(0)).toString();
  if (kind === 'L') extra.path = name;
  else if (kind === 'K') extra.link = name;
  else if (kind === 'x') for (const [keyword, value] of paxRecords(data)) takeRecord(keyword, value, extra);
}

function takeRecord(keyword: string, value: Buffer, extra: Extra): void {
  const { sparse, attributes } = extra;
  const number = () => {
    const text = value.toString('latin1');
    if (!/^\d{1,15}$/.test(text)) throw badImage(`the pax record ${keyword} is no number`);
    return Number(text);
  };
  const attribute = /^SCHILY\.xattr\.(.+)$/s.exec(keyword)?.[1];
  if (attribute !== undefined) {
    const { name, value: longest, count } = attributeLimits;
    if (attribute.length > name || value.length > longest || attributes.size >= count)
      throw badImage('a file has extended attributes beyond what a kernel takes');
    attributes.set(attribute, Buffer.from(value));
  } else if (keyword === 'path') extra.path = value.toString();
  else if (keyword === 'linkpath') extra.link = value.toString();
  else if (keyword === 'size') extra.size = number();
  else if (keyword === 'uid') extra.uid = number();
  else if (keyword === 'gid') extra.gid = number();
  else if (keyword === 'mtime') extra.time = Math.max(0, Math.floor(Number(value.toString('latin1'))) || 0);
  else if (keyword === 'GNU.sparse.major') sparse.major = value.toString('latin1');
  else if (keyword === 'GNU.sparse.name') sparse.name = value.toString();
  else if (keyword === 'GNU.sparse.size' || keyword === 'GNU.sparse.realsize') sparse.size = number();
  else if (keyword === 'GNU.sparse.offset' || keyword === 'GNU.sparse.numbytes')
    sparse.numbers.push(number());
  else if (keyword === 'GNU.sparse.map')
    for (const one of value.toString('latin1').split(',')) sparse.numbers.push(Number(one));
}

interface Places {
  readonly reader: ByteReader;
  readonly spool: Spool;
  readonly budget: Budget;
}

async function readEntry(
  header: TarHeader,
  block: Buffer,
  extra: Extra,
  { reader, spool, budget }: Places,
): Promise<LayerEntry> {
  const { depth } = budget.limits;
  const name = extra.sparse.name ?? extra.path ?? header.name;
  const parts = partsOf(name, depth);
  const found = header.kind === 'S' ? 'file' : tarTypes[header.kind];
  const isNode = found === 'character' || found === 'block' || found === 'fifo';
  // The device mounts over /dev: what is there, as in every root that debootstrap makes, is nobody's device. An empty file holds the name.
  const kind = isNode && parts[0] === 'dev' && parts.length > 1 ? 'file' : found;
  if (kind === undefined) throw badImage(`an entry has the unknown type "${shown(header.kind)}"`);
  if (kind === 'character' || kind === 'block' || kind === 'fifo')
    throw new MblError(
      'apps/device-node',
      `/${shown(parts.join('/'))} is a ${kind === 'fifo' ? 'named pipe' : 'device node'}, which no app brings along.`,
      { remedy: 'Take it out of the image; devices are asked for under "permissions" in app.yaml.' },
    );
  const type = kind === 'file' && name.endsWith('/') ? 'directory' : kind;
  const link = extra.link ?? header.link;
  if (
    type === 'symlink' &&
    (link === '' || link.includes('\0') || Buffer.byteLength(link) > longestTarName - 1)
  )
    throw badImage(`the link /${shown(parts.join('/'))} has no target that a link can have`);
  if (type === 'symlink' && link.includes('\ufffd'))
    throw badImage(`the target of the link /${shown(parts.join('/'))} is not UTF-8`);
  let content = emptyContent;
  // POSIX pax, "ustar Interchange Format": a node has no data.
  if (type === 'file' && !isNode) {
    const stored = extra.size ?? header.size;
    content = await readContent(header, block, extra, stored, parts.join('/'), { reader, spool, budget });
  }
  return {
    parts,
    type,
    mode: header.mode,
    uid: extra.uid ?? header.uid,
    gid: extra.gid ?? header.gid,
    time: Math.min(extra.time ?? header.time, 0xffff_ffff),
    link: type === 'symlink' ? link : '',
    target: type === 'hardlink' ? partsOf(link, depth) : [],
    content,
    attributes: extra.attributes,
  };
}

async function readContent(
  header: TarHeader,
  block: Buffer,
  { sparse }: Extra,
  stored: number,
  path: string,
  { reader, spool, budget }: Places,
): Promise<Content> {
  let map: SparseMap | undefined;
  let left = stored;
  if (header.kind === 'S') map = await readOldSparse(block, reader);
  else if (sparse.major === '1') {
    const found = await readNewSparse(sparse.size ?? -1, reader, stored);
    map = found.map;
    left -= found.taken;
  } else if (sparse.numbers.length > 0) map = readPaxSparse(sparse.size ?? -1, sparse.numbers);
  const pieces = map?.pieces ?? [[0, left] as const];
  if (pieces.reduce((sum, [, size]) => sum + size, 0) !== left)
    throw badImage(`the map of the sparse file /${shown(path)} is wrong`);
  const size = map?.size ?? left;
  budget.content(path, size);
  const offset = spool.end;
  for (const [at, length] of pieces) {
    const hole = offset + at - spool.end;
    if (hole > 0) await spool.skip(hole);
    let missing = length;
    for await (const piece of reader.pieces(length)) {
      missing -= piece.length;
      await spool.append(piece);
    }
    if (missing > 0) throw badImage(`/${shown(path)} is shorter than it says`);
  }
  if (offset + size > spool.end) await spool.skip(offset + size - spool.end);
  await skipPadding(reader, stored);
  return { offset, size };
}

async function skipPadding(reader: ByteReader, size: number): Promise<void> {
  const rest = (tarBlock - (size % tarBlock)) % tarBlock;
  if ((await reader.read(rest)).length < rest) throw badImage('a layer is cut off');
}
