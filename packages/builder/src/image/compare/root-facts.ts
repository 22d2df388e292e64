// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { MblError } from '@mbl/trust';
import { runCommand } from '../../engine/run-command.ts';
import { readApplication, type SignedApplication, withoutSignature } from './application-key.ts';
import { type ErofsListing, listErofs } from './erofs.ts';
import { type Facts, shortDigest } from './facts.ts';
import { withoutReleaseKeys } from './release-root.ts';

/** A root file system, listed, and its files unpacked into a folder. */
export interface RootContent {
  readonly listing: ErofsListing;
  readonly folder: string;
}

const file = 0o100000;
const typeMask = 0o170000;
const applications = /^usr\/lib\/optee_armtz\/[^/]+\.ta$/;
const identity = 'etc/mbl/image.json';
const releaseRoot = 'etc/mbl/releases/root.json';

/** An erofs: its bytes, and the file in which it stands. */
export interface RootPlace {
  readonly data: Buffer;
  readonly path: string;
  readonly offset: number;
}

/**
 * Lists an erofs and unpacks it into a folder in `work`. `fsck`: the words that start fsck.erofs. Throws `builder/bad-erofs`.
 */
export async function openRoot(
  { data, path, offset }: RootPlace,
  work: string,
  fsck: readonly string[],
  signal: AbortSignal | undefined,
): Promise<RootContent> {
  const listing = listErofs(data);
  const folder = join(work, 'root');
  const [program = 'fsck.erofs', ...prefix] = fsck;
  const options = ['-d0', '--no-preserve', `--extract=${folder}`, `--offset=${offset}`];
  await runCommand(program, [...prefix, ...options, path], { signal, log: () => {} }).catch(
    (cause: unknown) => {
      if (!(cause instanceof MblError) || cause.code !== 'builder/command-failed') throw cause;
      throw new MblError('builder/bad-erofs', 'The root file system cannot be unpacked.', {
        remedy: 'Build the image again with: ./mbl build',
        cause,
      });
    },
  );
  return { listing, folder };
}

/** The first trusted application of a root. */
export async function applicationOf({
  listing,
  folder,
}: RootContent): Promise<SignedApplication | undefined> {
  const found = listing.entries.find(({ path, mode }) => isFile(mode) && applications.test(path));
  return found === undefined ? undefined : readApplication(await readFile(join(folder, found.path)));
}

/**
 * Says what a root holds, file by file. Taken out: the signatures of trusted applications; the keys of the root for releases; in
 * `etc/mbl/image.json` what `meaningOf` takes out of a text.
 */
export async function addRoot(
  facts: Facts,
  { listing, folder }: RootContent,
  meaningOf: (text: string) => string,
): Promise<void> {
  facts.add('root', 'uuid', listing.uuid);
  facts.add('root', 'label', listing.label);
  for (const { path, mode, uid, gid, size, time, device, attributes, target } of listing.entries) {
    const place = `root/${path}`;
    facts.add(place, 'mode', mode.toString(8));
    facts.add(place, 'owner', `${uid}:${gid}`);
    facts.add(place, 'time', time ?? 'of the file system');
    if (target !== undefined) facts.add(place, 'target', target);
    if (device !== 0) facts.add(place, 'device', device);
    if (attributes.length > 0) facts.add(place, 'extended attributes', shortDigest(attributes));
    if (!isFile(mode)) continue;
    const unpacked = join(folder, path);
    if (applications.test(path)) {
      const bytes = await readFile(unpacked);
      facts.addBytes(place, bytes, withoutSignature(bytes));
    } else if (path === identity || path === releaseRoot) {
      const text = await readFile(unpacked, 'utf8');
      const meaning = path === identity ? meaningOf(text) : withoutReleaseKeys(text);
      facts.addBytes(place, Buffer.from(text), Buffer.from(meaning));
    } else {
      facts.add(place, 'size', size);
      facts.add(place, 'content', await digestOf(unpacked));
    }
  }
}

function isFile(mode: number): boolean {
  return (mode & typeMask) === file;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex').slice(0, 32);
}
