// SPDX-License-Identifier: Apache-2.0
//
// For tests: metadata as somebody would forge it who has some of the keys.
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { folderSource, memoryStore } from '../sources/folder.ts';
import type { MetadataStore } from '../tuf/client.ts';
import type { MetadataSigner } from '../tuf/keys.ts';
import {
  addSignature,
  bytesToSign,
  formatMetadata,
  type Kind,
  makeMetadata,
  readMetadata,
} from '../tuf/metadata.ts';
import { lyingSource, SyntheticRepository } from './synthetic-repository.ts';

export const metadataFiles = {
  root: '2.root.json',
  timestamp: 'timestamp.json',
  snapshot: '2.snapshot.json',
  targets: '1.targets.json',
  os: '1.os.json',
} as const;

/** A repository with one release, whose root has the version 1. */
export async function published(): Promise<SyntheticRepository> {
  const repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.sign();
  return repository;
}

export const read = (repository: SyntheticRepository, name: string) =>
  readFile(join(repository.folder, 'metadata', name));

export const kindOf = (role: string): Kind => (role === 'os' ? 'targets' : (role as Kind));

/** What the tests change in the signed part of metadata. */
export interface SignedJson {
  version: number;
  expires: string;
  meta: Record<string, object>;
  targets: Record<string, object>;
}

/** Metadata as it was but for `change`, signed by `signers`. */
export async function forge(
  role: string,
  bytes: Uint8Array,
  signers: readonly MetadataSigner[],
  change: (signed: SignedJson) => void = () => undefined,
): Promise<Buffer> {
  const signed = structuredClone(
    readMetadata(kindOf(role), bytes, role).signed.toJSON(),
  ) as unknown as SignedJson;
  change(signed);
  const metadata = makeMetadata(kindOf(role), signed);
  for (const { key, signer } of signers)
    addSignature(metadata, key.id, await signer.sign(bytesToSign(metadata)));
  return formatMetadata(metadata);
}

/** What a device says of a mirror that gives `lies` for files of the repository. */
export async function offered(
  repository: SyntheticRepository,
  lies: Readonly<Record<string, Uint8Array | AsyncIterable<Uint8Array> | undefined>>,
  store: MetadataStore = memoryStore(),
): Promise<void> {
  const named = Object.fromEntries(Object.entries(lies).map(([name, bytes]) => [`metadata/${name}`, bytes]));
  const source = lyingSource(folderSource(repository.folder), named);
  const client = await repository.client({ source, store });
  await client.find('os/releases/1.0.json');
}

/** The lies that put `forged` in the place of a role's file, with snapshot and timestamp that name it. */
export async function resealed(
  repository: SyntheticRepository,
  role: string,
  forged: Uint8Array,
  more: readonly { name: string; bytes: Uint8Array }[] = [],
): Promise<Record<string, Uint8Array>> {
  const { snapshot, timestamp } = repository.keys;
  const lies = Object.fromEntries(more.map(({ name, bytes }) => [`1.${name}.json`, bytes]));
  const entry = (bytes: Uint8Array, version: number) => ({
    version,
    length: bytes.length,
    hashes: { sha256: digest(bytes) },
  });
  let middle: Uint8Array = await read(repository, metadataFiles.snapshot);
  if (role === 'timestamp') return { 'timestamp.json': forged };
  if (role === 'snapshot') middle = forged;
  else {
    lies[metadataFiles[role as 'os' | 'targets']] = forged;
    middle = await forge('snapshot', middle, [snapshot], (signed) => {
      signed.meta[`${role}.json`] = entry(forged, 1);
      for (const { name, bytes } of more) signed.meta[`${name}.json`] = entry(bytes, 1);
    });
  }
  lies[metadataFiles.snapshot] = middle;
  lies['timestamp.json'] = await forge(
    'timestamp',
    await read(repository, 'timestamp.json'),
    [timestamp],
    (signed) => {
      signed.meta['snapshot.json'] = entry(middle, 2);
    },
  );
  return lies;
}

function digest(bytes: Uint8Array): string {
  return hash('sha256', bytes);
}
