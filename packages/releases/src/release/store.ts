// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ReleaseFile } from '@mbl/formats';
import { componentPath } from './paths.ts';

type Write = (piece: Uint8Array) => Promise<void>;

/** Where a target lies. Consistent snapshots: the digest stands before the name (TUF 1.0.34 §6.2). */
export function storedAt(repository: string, path: string, sha256: string): string {
  return join(repository, 'targets', dirname(path), `${sha256}.${path.slice(path.lastIndexOf('/') + 1)}`);
}

/** Whose files they are, and where. */
export interface Keeper {
  /** The repository's folder. */
  readonly repository: string;
  readonly team: string;
}

/** Writes a file of a release to its place, which its content gives; `fill` gives the content. */
export async function keepFile(
  { repository, team }: Keeper,
  file: string,
  fill: (write: Write) => Promise<void>,
): Promise<ReleaseFile> {
  return await drafted(repository, file, fill, (found) => {
    const kept = { file, ...found };
    return { target: storedAt(repository, componentPath(team, kept), found.sha256), kept };
  });
}

/** Writes a target whose path is given. */
export async function keepTarget(
  repository: string,
  path: string,
  content: Uint8Array,
): Promise<{ readonly size: number; readonly sha256: string }> {
  return await drafted(
    repository,
    'file',
    (write) => write(content),
    (kept) => ({ target: storedAt(repository, path, kept.sha256), kept }),
  );
}

/** Writes a file that is served beside the targets, under its plain name; returns its bytes. */
export async function keepUnsigned(
  repository: string,
  path: string,
  fill: (write: Write) => Promise<void>,
): Promise<number> {
  return await drafted(repository, 'file', fill, ({ size }) => ({
    target: join(repository, 'targets', path),
    kept: size,
  }));
}

/** Whole or not there at all. */
async function drafted<T>(
  repository: string,
  name: string,
  fill: (write: Write) => Promise<void>,
  place: (found: { size: number; sha256: string }) => { target: string; kept: T },
): Promise<T> {
  const draft = join(repository, 'targets', `.${name}.${process.pid}`);
  await mkdir(dirname(draft), { recursive: true });
  try {
    const hash = createHash('sha256');
    let size = 0;
    await using file = await open(draft, 'w', 0o644);
    await fill(async (piece) => {
      hash.update(piece);
      size += piece.length;
      await file.writeFile(piece);
    });
    await file.sync();
    const { target, kept } = place({ size, sha256: hash.digest('hex') });
    await mkdir(dirname(target), { recursive: true });
    await rename(draft, target);
    return kept;
  } finally {
    await rm(draft, { force: true });
  }
}
