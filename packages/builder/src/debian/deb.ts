// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import { parseControl, type Stanza } from '@mbl/formats';
import { readTar, type TarEntry } from '@mbl/blocks';

/** A `.deb` in memory. */
export interface Deb {
  readonly control: Stanza;
  /** The other control members by name: `postinst`, `conffiles`, `triggers`. */
  readonly scripts: ReadonlyMap<string, Buffer>;
  readonly files: readonly TarEntry[];
}

/** Far above any package of Debian; a bound for what a decompressor may write. */
const LARGEST = 2 ** 31 - 1;

/** Reads a `.deb` file (deb(5)). Throws `builder/bad-archive` with the file's name. */
export const readDeb = async (path: string, name: string, signal?: AbortSignal): Promise<Deb> => {
  const bytes = await readFile(path);
  try {
    const members = readAr(bytes);
    if (members.get('debian-binary')?.toString().trim() !== '2.0') throw bad('it is not of format 2.0');
    const control = new Map<string, Buffer>();
    for (const entry of readTar(await member(members, 'control.tar', signal)))
      if (entry.type === 'file') control.set(entry.path, entry.data);
    const stanza = parseControl(control.get('control')?.toString() ?? '')[0];
    if (!stanza) throw bad('it has no control file');
    control.delete('control');
    return { control: stanza, scripts: control, files: readTar(await member(members, 'data.tar', signal)) };
  } catch (cause) {
    if (!(cause instanceof MblError) || cause.code !== 'builder/bad-archive') throw cause;
    throw new MblError(cause.code, `${name}: ${cause.message}`, {
      remedy: `Remove ${path} and run the build again.`,
      cause,
    });
  }
};

/** Members of an `ar` archive (BSD and GNU short names; Debian's need no long ones). */
export const readAr = (bytes: Buffer): Map<string, Buffer> => {
  const members = new Map<string, Buffer>();
  if (bytes.subarray(0, 8).toString('latin1') !== '!<arch>\n') throw bad('it is no ar archive');
  let offset = 8;
  while (offset + 60 <= bytes.length) {
    const header = bytes.subarray(offset, offset + 60).toString('latin1');
    const size = header.slice(48, 58).trim();
    if (!/^\d+$/.test(size) || header.slice(58) !== '`\n') throw bad('an ar header is wrong');
    const start = offset + 60;
    const end = start + Number(size);
    if (end > bytes.length) throw bad('an ar member is cut off');
    members.set(header.slice(0, 16).trim().replace(/\/$/, ''), bytes.subarray(start, end));
    offset = end + (end % 2);
  }
  return members;
};

const member = async (
  members: ReadonlyMap<string, Buffer>,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Buffer> => {
  for (const [key, data] of members) {
    if (key === name) return data;
    if (key === `${name}.xz`)
      return runCommand('xz', ['-dc'], { input: data, capture: true, log: () => {}, signal }).catch(corrupt);
    if (key === `${name}.zst`) return zstd(data, { maxOutputLength: LARGEST }).catch(corrupt);
    if (key === `${name}.gz`) return gz(data, { maxOutputLength: LARGEST }).catch(corrupt);
  }
  throw bad(`it has no ${name} in a known compression`);
};

const zstd = promisify(zstdDecompress);
const gz = promisify(gunzip);

const corrupt = (cause: unknown): never => {
  if (cause instanceof MblError && cause.code === 'builder/missing-tool') throw cause;
  if (cause instanceof MblError && cause.code === 'builder/stopped') throw cause;
  throw bad('it does not decompress');
};

const bad = (what: string): MblError =>
  new MblError('builder/bad-archive', `The package cannot be read: ${what}.`);
