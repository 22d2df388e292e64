// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, folderSource, memoryStore, type Source } from '@mbl/releases';
import type { ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';

/** What a service takes at once. */
const pieceBytes = 8 * 1024 * 1024;

/** A file of a repository. */
export interface RepositoryFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface PublishedRepository {
  /** Metadata by its name, with its SHA-256. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Metadata and targets, by their SHA-256. */
  readonly files: ReadonlyMap<string, RepositoryFile>;
}

/**
 * What of a repository a device can come to need, found by going through it as one. Throws `release/missing` where nothing is signed yet, and
 * what the client refuses.
 */
export async function readPublished(folder: string, signal: AbortSignal): Promise<PublishedRepository> {
  const born = '1.root.json';
  const root = await readFile(join(folder, 'metadata', born)).catch((cause: unknown) => {
    throw new MblError('release/missing', `Nothing is signed in ${folder}.`, {
      remedy: 'Make a release and sign it: ./mbl release create 1.0, then ./mbl release sign',
      cause,
    });
  });
  const names = [born];
  const source = folderSource(folder, signal);
  const recording: Source = {
    async open(path) {
      const found = await source.open(path);
      if (found !== undefined && path.startsWith('metadata/')) names.push(path.slice('metadata/'.length));
      return found;
    },
  };
  const client = await Client.open({ root, source: recording, store: memoryStore(), now: new Date() });
  const metadata = new Map<string, string>();
  const files = new Map<string, RepositoryFile>();
  for (const target of await client.list()) {
    const path = join(folder, ...client.locate(target).split('/').map(decodeURIComponent));
    if (target.hashes.sha256 !== undefined && (await isFile(path)))
      files.set(target.hashes.sha256, { path, size: target.length });
  }
  for (const name of names) {
    const path = join(folder, 'metadata', name);
    const content = await readFile(path);
    const sha256 = createHash('sha256').update(content).digest('hex');
    metadata.set(name, sha256);
    files.set(sha256, { path, size: content.length });
  }
  return { metadata, files };
}

export interface SendOptions {
  readonly sha256: string;
  readonly file: RepositoryFile;
  /** Bytes that the service has already. */
  readonly received: number;
  readonly signal: AbortSignal;
}

/** Sends a file from where the service has it; `sent` is told the size of each piece. */
export async function sendFile(
  client: ServiceClient,
  { sha256, file: { path, size }, received, signal }: SendOptions,
  sent: (bytes: number) => void,
): Promise<void> {
  await using file = await open(path, 'r');
  let offset = Math.min(received, size);
  if (offset > 0) sent(offset);
  do {
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(Math.min(pieceBytes, size - offset)),
      0,
      null,
      offset,
    );
    const last = offset + bytesRead >= size || bytesRead === 0;
    await client.releases.send(sha256, buffer.subarray(0, bytesRead), { offset, last, signal });
    offset += bytesRead;
    sent(bytesRead);
    if (last) return;
  } while (offset < size);
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
