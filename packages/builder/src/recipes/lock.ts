// SPDX-License-Identifier: Apache-2.0
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import { errnoOf } from '../engine/errno.ts';

/** One file that a build fetches: the name it has in its archive, and what its bytes must be. */
export interface LockedFile {
  /** Path below the archive's root: "pool/main/s/systemd/systemd_257.9-1_arm64.deb". */
  readonly path: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** A binary package of a Debian suite. */
export interface LockedPackage extends LockedFile {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** The suite that it came from: "trixie", "trixie-security". */
  readonly suite: string;
  /** Source package and its version, when they differ from the binary's. */
  readonly source?: string;
}

/** A source package of a Debian suite: the .dsc and the files that it names. */
export interface LockedSource {
  readonly name: string;
  readonly version: string;
  readonly suite: string;
  readonly files: readonly LockedFile[];
}

/** A package of npm. */
export interface LockedNpm {
  readonly name: string;
  readonly version: string;
  /** Subresource integrity: "sha512-…". */
  readonly integrity: string;
}

/** What a request brings, with what must come back when it is fetched. It names no mirror and no registry. */
export interface Lock {
  readonly version: 1;
  /** What was asked for: a lock answers this request and no other. */
  readonly request: readonly string[];
  readonly packages: readonly LockedPackage[];
  readonly sources: readonly LockedSource[];
  readonly npm: readonly LockedNpm[];
}

export const emptyLock: Lock = { version: 1, request: [], packages: [], sources: [], npm: [] };

const maxBytes = 16 * 1024 * 1024;
const remedy = 'Restore it from version control, or delete it: the next build writes a new one.';

/** The lock in the file `path`; an empty one when there is no such file. Throws `builder/lock-invalid`. */
export async function readLock(path: string): Promise<Lock> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return emptyLock;
    throw new MblError('builder/lock-invalid', `The lock file ${path} cannot be read`, { cause, remedy });
  }
  return parseLock(bytes, path);
}

/** Writes `lock` to the file `path`, sorted, so that equal locks give equal bytes. Never leaves half a file. */
export async function writeLock(path: string, lock: Lock): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, formatLock(lock));
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The lock's text: sorted entries, sorted keys, one entry a line. */
export function formatLock(lock: Lock): string {
  const packages = byKey(lock.packages.map(cleanPackage), packageKey);
  const sources = byKey(lock.sources.map(cleanSource), sourceKey);
  const npm = byKey(
    lock.npm.map(({ name, version, integrity }) => ({ name, version, integrity })),
    npmKey,
  );
  return `{\n  "version": 1,\n${section('request', lock.request)},\n${section('packages', packages)},\n${section('sources', sources)},\n${section('npm', npm)}\n}\n`;
}

/** The text of an image's `lock.json`: the locks that it was made from, by the names of their files, and the layers' own packages. */
export function formatImageLock(
  locks: Readonly<Record<string, Lock>>,
  local: readonly { readonly name: string; readonly version: string; readonly sha256: string }[],
): string {
  const names = Object.keys(locks).toSorted();
  const texts = names.map(
    (name) => `${JSON.stringify(name)}: ${formatLock(locks[name] ?? emptyLock).trimEnd()}`,
  );
  const own = local.map(({ name, version, sha256 }) => ({ name, version, sha256 }));
  return `{\n"version": 1,\n"locks": {\n${texts.join(',\n')}\n},\n${section('local', own).trimStart()}\n}\n`;
}

/** Reads a lock's text. `path` is for the message. Throws `builder/lock-invalid` and nothing else. */
export function parseLock(bytes: Uint8Array, path: string): Lock {
  const wrong = (what: string, cause?: unknown): MblError =>
    new MblError('builder/lock-invalid', `The lock file ${path} is not valid: ${what}`, {
      cause,
      remedy,
      details: { file: path },
    });
  if (bytes.length > maxBytes) throw wrong(`it is larger than ${maxBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw wrong('it is not JSON', cause);
  }
  const check = new Checker(wrong);
  const lock = check.object(value, 'the file');
  if (lock['version'] !== 1) throw wrong('this version of mbl reads version 1');
  const packages = check.list(lock['packages'], 'packages').map((entry, i): LockedPackage => {
    const at = `packages[${i}]`;
    const item = check.object(entry, at);
    return cleanPackage({
      name: check.text(item['name'], `${at}.name`),
      version: check.text(item['version'], `${at}.version`),
      architecture: check.text(item['architecture'], `${at}.architecture`),
      suite: check.text(item['suite'], `${at}.suite`),
      ...check.file(item, at),
      ...(item['source'] === undefined ? {} : { source: check.text(item['source'], `${at}.source`) }),
    });
  });
  const sources = check.list(lock['sources'], 'sources').map((entry, i): LockedSource => {
    const at = `sources[${i}]`;
    const item = check.object(entry, at);
    return {
      name: check.text(item['name'], `${at}.name`),
      version: check.text(item['version'], `${at}.version`),
      suite: check.text(item['suite'], `${at}.suite`),
      files: check.list(item['files'], `${at}.files`).map((file, j) => {
        return check.file(check.object(file, `${at}.files[${j}]`), `${at}.files[${j}]`);
      }),
    };
  });
  const npm = check.list(lock['npm'], 'npm').map((entry, i): LockedNpm => {
    const at = `npm[${i}]`;
    const item = check.object(entry, at);
    return {
      // Both become a file's name in the cache.
      name: check.match(item['name'], /^(@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/, `${at}.name`),
      version: check.match(item['version'], /^[0-9][0-9A-Za-z.+-]*$/, `${at}.version`),
      integrity: check.match(item['integrity'], /^sha512-[A-Za-z0-9+/]{86}==$/, `${at}.integrity`),
    };
  });
  const request = check
    .list(lock['request'] ?? [], 'request')
    .map((entry, i) => check.text(entry, `request[${i}]`));
  check.unique(packages.map(packageKey));
  check.unique(sources.map(sourceKey));
  check.unique(npm.map(npmKey));
  return { version: 1, request, packages, sources, npm };
}

/** One difference between two locks. */
export interface LockChange {
  readonly kind: 'added' | 'removed' | 'updated' | 'replaced';
  readonly section: 'packages' | 'sources' | 'npm';
  readonly name: string;
  readonly before?: string;
  readonly after?: string;
}

/** What is different in `after`, sorted. `replaced` means: the same version with other bytes. */
export function diffLock(before: Lock, after: Lock): LockChange[] {
  return [
    ...diffSection('packages', before.packages, after.packages, packageKey, (entry) => entry.sha256),
    ...diffSection('sources', before.sources, after.sources, sourceKey, (entry) =>
      byKey(entry.files, (file) => file.path)
        .map((file) => `${file.path} ${file.sha256}`)
        .join(),
    ),
    ...diffSection('npm', before.npm, after.npm, npmKey, (entry) => entry.integrity),
  ];
}

/** A change as a person reads it: "updated: systemd 257.8-1 -> 257.9-1". */
export function formatLockChange(change: LockChange): string {
  const { kind, name, before, after } = change;
  if (kind === 'updated') return `updated: ${name} ${before} -> ${after}`;
  if (kind === 'replaced') return `replaced: ${name} ${after} has other bytes than before`;
  return `${kind}: ${name} ${after ?? before}`;
}

function diffSection<T extends { readonly name: string; readonly version: string }>(
  section: LockChange['section'],
  before: readonly T[],
  after: readonly T[],
  key: (entry: T) => string,
  content: (entry: T) => string,
): LockChange[] {
  const old = new Map(before.map((entry) => [key(entry), entry]));
  const now = new Map(after.map((entry) => [key(entry), entry]));
  const changes: LockChange[] = [];
  for (const id of [...new Set([...old.keys(), ...now.keys()])].toSorted()) {
    const a = old.get(id);
    const b = now.get(id);
    if (a === undefined && b !== undefined) {
      changes.push({ kind: 'added', section, name: b.name, after: b.version });
    } else if (a !== undefined && b === undefined) {
      changes.push({ kind: 'removed', section, name: a.name, before: a.version });
    } else if (a !== undefined && b !== undefined) {
      const versions = { section, name: b.name, before: a.version, after: b.version } as const;
      if (a.version !== b.version) changes.push({ kind: 'updated', ...versions });
      else if (content(a) !== content(b)) changes.push({ kind: 'replaced', ...versions });
    }
  }
  return changes;
}

const packageKey = (entry: LockedPackage): string => `${entry.name} ${entry.architecture} ${entry.suite}`;
const sourceKey = (entry: LockedSource): string => `${entry.name} ${entry.suite}`;
const npmKey = (entry: LockedNpm): string => entry.name;

function byKey<T>(entries: readonly T[], key: (entry: T) => string): T[] {
  return entries.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

const cleanFile = ({ path, sha256, size }: LockedFile): LockedFile => ({ path, sha256, size });

function cleanPackage(entry: LockedPackage): LockedPackage {
  const { name, version, architecture, suite, source } = entry;
  return {
    name,
    version,
    architecture,
    suite,
    ...(source === undefined ? {} : { source }),
    ...cleanFile(entry),
  };
}

function cleanSource({ name, version, suite, files }: LockedSource): LockedSource {
  return { name, version, suite, files: byKey(files.map(cleanFile), (file) => file.path) };
}

class Checker {
  readonly #wrong: (what: string) => MblError;

  constructor(wrong: (what: string) => MblError) {
    this.#wrong = wrong;
  }

  object(value: unknown, at: string): Record<string, unknown> {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value));
    }
    throw this.#wrong(`${at} is not an object`);
  }

  list(value: unknown, at: string): unknown[] {
    if (Array.isArray(value)) return value;
    throw this.#wrong(`${at} is not a list`);
  }

  text(value: unknown, at: string): string {
    return this.match(value, /^[\x21-\x7e][\x20-\x7e]{0,511}$/, at);
  }

  match(value: unknown, pattern: RegExp, at: string): string {
    if (typeof value === 'string' && pattern.test(value)) return value;
    throw this.#wrong(`${at} is missing or has another form than ${pattern.source}`);
  }

  file(value: Record<string, unknown>, at: string): LockedFile {
    const path = this.text(value['path'], `${at}.path`);
    // The path is joined to a mirror's address and to the cache's folder.
    if (path.startsWith('/') || path.split('/').includes('..'))
      throw this.#wrong(`${at}.path leaves its folder`);
    const sha256 = this.match(value['sha256'], /^[0-9a-f]{64}$/, `${at}.sha256`);
    const size = value['size'];
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      throw this.#wrong(`${at}.size is not a size in bytes`);
    return { path, sha256, size };
  }

  unique(keys: readonly string[]): void {
    const seen = new Set<string>();
    for (const key of keys) {
      if (seen.has(key)) throw this.#wrong(`"${key}" is there twice`);
      seen.add(key);
    }
  }
}

function section(name: string, entries: readonly unknown[]): string {
  if (entries.length === 0) return `  "${name}": []`;
  return `  "${name}": [\n${entries.map((entry) => `    ${JSON.stringify(entry)}`).join(',\n')}\n  ]`;
}
