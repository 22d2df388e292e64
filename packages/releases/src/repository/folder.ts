// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { type AnyMetadata, formatMetadata, mostBytes, readMetadata } from '../tuf/metadata.ts';
import { emptyState, kindOf, ofKind, type RepositoryState } from './roles.ts';

const roots = /^([1-9]\d{0,8})\.root\.json$/;

/** Reads the repository in a folder; an empty one where there is none. Throws `release/bad-metadata`, `release/missing`. */
export async function readRepository(folder: string): Promise<RepositoryState> {
  const state = emptyState();
  const metadata = join(folder, 'metadata');
  const versions = (await names(metadata)).flatMap((name) => Number(roots.exec(name)?.[1] ?? []));
  const load = async (role: string, file: string) => {
    const read = await readFileOf(join(metadata, file), role);
    if (read === undefined)
      throw new MblError('release/missing', `The repository ${folder} has no metadata/${file}.`, {
        remedy: 'Copy the folder again, or take it from a backup.',
        details: { folder, file },
      });
    state.published.set(role, read);
  };
  if (versions.length > 0) {
    await load('root', `${Math.max(...versions)}.root.json`);
    await load('timestamp', 'timestamp.json');
    const timestamp = ofKind(state.published, 'timestamp', 'timestamp');
    await load('snapshot', `${timestamp?.signed.snapshotMeta.version}.snapshot.json`);
    const snapshot = ofKind(state.published, 'snapshot', 'snapshot');
    for (const [file, { version }] of Object.entries(snapshot?.signed.meta ?? {}))
      await load(file.replace(/\.json$/, ''), `${version}.${file}`);
  }
  for (const file of await names(join(folder, 'staged'))) {
    const role = /^([a-z][a-z0-9-]*)\.json$/.exec(file)?.[1];
    const read = role === undefined ? undefined : await readFileOf(join(folder, 'staged', file), role);
    if (role !== undefined && read !== undefined) state.staged.set(role, read);
  }
  return state;
}

/** Writes what is staged, each file whole or not at all; one that is no longer staged goes. */
export async function writeStaged(folder: string, state: RepositoryState): Promise<void> {
  const staged = join(folder, 'staged');
  await mkdir(staged, { recursive: true });
  for (const [role, metadata] of state.staged)
    await writeWhole(staged, `${role}.json`, formatMetadata(metadata));
  for (const file of await names(staged))
    if (!state.staged.has(file.replace(/\.json$/, ''))) await rm(join(staged, file), { force: true });
}

/** Writes published files in their order: each is on the disk before the next one is begun. */
export async function writePublished(folder: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  const metadata = join(folder, 'metadata');
  await mkdir(metadata, { recursive: true });
  for (const [name, content] of files) await writeWhole(metadata, name, content);
}

async function writeWhole(folder: string, name: string, content: Uint8Array): Promise<void> {
  const draft = join(folder, `.${name}.${process.pid}`);
  try {
    await using file = await open(draft, 'w', 0o644);
    await file.writeFile(content);
    await file.sync();
    await rename(draft, join(folder, name));
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await using directory = await open(folder, 'r');
  await directory.sync();
}

async function readFileOf(path: string, role: string): Promise<AnyMetadata | undefined> {
  const kind = kindOf(role);
  try {
    await using file = await open(path, 'r');
    const most = mostBytes[kind];
    const { buffer, bytesRead } = await file.read(Buffer.alloc(most + 1), 0, most + 1, 0);
    return readMetadata(kind, buffer.subarray(0, bytesRead), path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
