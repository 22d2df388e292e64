// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { emptyLock, formatLock, type Lock, parseLock } from '../recipes/lock.ts';

/** A file in an archive, known by its content. */
export interface ArchivedFile {
  /** `debian`: a package or a file of a source package; `npm`: a tarball of npm. */
  readonly kind: 'debian' | 'npm';
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  /** What a person knows it by: `systemd_257.9-1_arm64.deb`. Never a path. */
  readonly name: string;
}

/** The first file of an archive: what was built, by which locks, and every file that follows, in its order. */
export interface ArchiveManifest {
  readonly machine: string;
  readonly image: string;
  /** By their paths below a folder of locks: `trixie/root-production`. */
  readonly locks: ReadonlyMap<string, Lock>;
  readonly files: readonly ArchivedFile[];
}

export const MANIFEST = 'manifest.json';
/** Bytes that a manifest may have, and files that it may list. */
export const LARGEST_MANIFEST = 32 * 1024 * 1024;
const MOST_FILES = 20_000;
const LARGEST_FILE = 2 ** 33;

/** The path of a file in the archive: it follows from its content. */
export function archivePath({ kind, sha256 }: ArchivedFile): string {
  return kind === 'npm' ? `npm/${sha256}.tgz` : `debian/${sha256}`;
}

/** Sorts files into the order of an archive, each content once. */
export function sortFiles(files: readonly ArchivedFile[]): ArchivedFile[] {
  const byPath = new Map(files.map((file) => [archivePath(file), file]));
  return [...byPath].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
}

/** The manifest's text: equal manifests give equal bytes. */
export function formatArchiveManifest({ machine, image, locks, files }: ArchiveManifest): string {
  const texts = [...locks.keys()]
    .toSorted()
    .map((name) => `${JSON.stringify(name)}: ${formatLock(locks.get(name) ?? emptyLock).trimEnd()}`);
  const lines = sortFiles(files).map(({ kind, sha256, size, name }) =>
    JSON.stringify({ kind, sha256, size, name }),
  );
  const head = `"version": 1,\n"machine": ${JSON.stringify(machine)},\n"image": ${JSON.stringify(image)},\n`;
  return `{\n${head}"locks": {\n${texts.join(',\n')}\n},\n"files": [\n${lines.join(',\n')}\n]\n}\n`;
}

/** Reads a manifest that nobody vouches for. Throws `builder/archive-invalid` and `builder/lock-invalid`. */
export function parseArchiveManifest(bytes: Buffer, path: string): ArchiveManifest {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (cause) {
    throw archiveInvalid(path, 'its manifest is not JSON', cause);
  }
  const { version, machine, image, locks, files } = objectIn(value, path);
  if (version !== 1) throw archiveInvalid(path, 'its manifest is not of version 1');
  if (!Array.isArray(files) || files.length > MOST_FILES)
    throw archiveInvalid(path, `its manifest lists no files, or more than ${MOST_FILES}`);
  return {
    machine: textIn(machine, path),
    image: textIn(image, path),
    locks: new Map(
      Object.entries(objectIn(locks, path)).map(([name, lock]) => [
        name,
        parseLock(Buffer.from(JSON.stringify(lock)), `${path}: ${name}`),
      ]),
    ),
    files: files.map((entry: unknown): ArchivedFile => {
      const { kind, sha256, size, name } = objectIn(entry, path);
      if (kind !== 'debian' && kind !== 'npm')
        throw archiveInvalid(path, 'it lists a file of an unknown kind');
      if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
        throw archiveInvalid(path, 'it lists a file without a SHA-256');
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > LARGEST_FILE)
        throw archiveInvalid(path, 'it lists a file without a size');
      return { kind, sha256, size, name: textIn(name, path) };
    }),
  };
}

export function archiveInvalid(path: string, what: string, cause?: unknown): MblError {
  return new MblError('builder/archive-invalid', `The archive ${path} cannot be used: ${what}.`, {
    remedy: 'Take another copy of it; mbl build --archive <file> writes one.',
    cause,
  });
}

function objectIn(value: unknown, path: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.fromEntries(Object.entries(value));
  throw archiveInvalid(path, 'its manifest has another form than version 1');
}

function textIn(value: unknown, path: string): string {
  if (typeof value === 'string' && /^[\x20-\x7e]{1,500}$/.test(value)) return value;
  throw archiveInvalid(path, 'its manifest has another form than version 1');
}
