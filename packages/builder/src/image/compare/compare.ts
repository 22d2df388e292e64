// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { findApplicationKey } from './application-key.ts';
import { addDescription, addLocks, addMaterials, maxTextBytes } from './description-facts.ts';
import { type Difference, Facts, shortDigest } from './facts.ts';
import { addFit } from './fit-facts.ts';
import { addFlash, type FlashKeys } from './flash-facts.ts';
import { type OpenImage, openImage } from './open-image.ts';
import { addRoot, applicationOf } from './root-facts.ts';
import { fsckErofs } from './tools.ts';

export interface ImageComparison {
  /**
   * `identical`: the same bytes. `signatures`: another owner's keys, or another signature by the same; all that the device runs is the
   * same. `different`: something else differs too.
   */
  readonly verdict: 'identical' | 'signatures' | 'different';
  /** Which of the images' keys differ: names of certificates, `fit` for the key that U-Boot requires, `ta` for OP-TEE's. */
  readonly keys: readonly string[];
  readonly differences: readonly Difference[];
}

export interface CompareOptions {
  /** The folder `os/`, whose locked tools unpack the roots, and the cache that they are kept in. */
  readonly osDirectory: string;
  readonly cache: string;
  readonly signal?: AbortSignal | undefined;
  /** What is being done. */
  readonly onPhase?: ((what: string) => void) | undefined;
}

/**
 * Compares two images, each a folder that a build made: boot firmware, FIT, root file system, disk, bill of materials and locks. Nothing of
 * them is verified: a signature that is wrong is a signature like any other. Throws `builder/no-image`, `builder/bad-image-file`,
 * `builder/bad-fip`, `builder/bad-device-tree`, `builder/bad-archive`, `builder/bad-erofs`, `formats/bad-image`, `trust/malformed`.
 */
export async function compareImages(a: string, b: string, options: CompareOptions): Promise<ImageComparison> {
  const { osDirectory, cache, signal, onPhase } = options;
  const fsck = await fsckErofs(osDirectory, { cache, signal });
  const work = await mkdtemp(join(tmpdir(), 'mbl-compare-'));
  try {
    const openIn = async (directory: string, name: string): Promise<OpenImage> => {
      onPhase?.(`reading ${directory}`);
      await mkdir(join(work, name));
      return await openImage(directory, join(work, name), fsck, signal);
    };
    const images = [await openIn(a, 'a'), await openIn(b, 'b')] as const;
    onPhase?.('comparing');
    const applicationKeys = await findApplicationKeys(...images);
    const flashes = images.map((image, i) => {
      const facts = new Facts();
      return { image, facts, keys: addFlash(facts, image.flash, applicationKeys[i]) };
    });
    const keys = changedKeys(flashes.map((each) => each.keys));
    if (applicationKeys.length > 0) keys.push('ta');
    for (const { image, facts } of flashes) await addImage(facts, image, keys.length > 0);
    const [mine, theirs] = flashes;
    const differences = explained(mine?.facts.compare(theirs?.facts ?? new Facts()) ?? []);
    const verdict =
      differences.length === 0
        ? 'identical'
        : differences.every(({ kind }) => kind === 'signature')
          ? 'signatures'
          : 'different';
    return { verdict, keys, differences };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The keys that OP-TEE accepts trusted applications from, where the two differ and both are found; else nothing. */
async function findApplicationKeys(a: OpenImage, b: OpenImage): Promise<Buffer[]> {
  const [one, two] = [a, b].map(({ flash }) => flash.images.get('bl32-extra1'));
  if (one === undefined || two === undefined) return [];
  const near = one.findIndex((byte, i) => byte !== two[i]);
  if (near < 0) return [];
  const found = await Promise.all(
    (
      [
        [a, one],
        [b, two],
      ] as const
    ).map(async ([{ root }, optee]) => {
      const application = await applicationOf(root);
      return application === undefined ? undefined : findApplicationKey(optee, near, application);
    }),
  );
  const keys = found.filter((key) => key !== undefined);
  return keys.length === 2 ? keys : [];
}

function changedKeys([a, b]: readonly FlashKeys[]): string[] {
  const [one, two] = [a?.fingerprints ?? {}, b?.fingerprints ?? {}];
  return [...new Set([...Object.keys(one), ...Object.keys(two)])].filter((name) => one[name] !== two[name]);
}

async function addImage(facts: Facts, image: OpenImage, otherKeys: boolean): Promise<void> {
  const { directory, description, flash, fit, fitContent, root, rootHash, rest } = image;
  const { buildId } = description;
  // A build's identity follows from the keys as well; with the same keys it must be the same.
  const meaningOf = (text: string): string =>
    otherKeys ? text.replaceAll(buildId, '<build>').replaceAll(`+${buildId.slice(0, 8)}`, '+<build>') : text;
  addFit(facts, fitContent, {
    ...description.root,
    rootHash,
    salt: Buffer.from(fitContent.salt).toString('hex'),
  });
  facts.add('fit', unsaid, shortDigest(fit), told);
  await addRoot(facts, root, meaningOf);
  facts.add('root', 'size', description.root.dataSize);
  facts.add('root', unsaid, rootHash, told);
  for (const [place, digest] of rest) facts.add(place, 'content', digest);
  const inside = (outer: Buffer) => (part: Uint8Array) => ({
    offset: part.byteOffset - outer.byteOffset,
    size: part.length,
  });
  const fitParts = fitContent.tree.children
    .flatMap(({ children }) => children)
    .flatMap(({ properties }) => properties)
    .map(({ value }) => value);
  addDescription(
    facts,
    description,
    {
      flash: sha256(flash.flash),
      fit: sha256(fit),
      rootHash,
      parts: [
        flash.bl1,
        ...[...flash.images.values()].map(inside(flash.flash)),
        ...fitParts.map(inside(fit)),
      ],
    },
    meaningOf,
  );
  for (const [file, add] of [
    ['packages.cdx.json', addMaterials],
    ['lock.json', addLocks],
  ] as const) {
    const path = join(directory, file);
    const text = await readText(path, maxTextBytes);
    if (text !== undefined) add(facts, text, path);
  }
}

/** Bytes of a container that no fact tells: padding, how files are packed. */
const unsaid = 'bytes';
const told = 'told by its parts';

/** Where bytes of a container differ and nothing in it does, what differs is in what no fact tells. */
function explained(differences: readonly Difference[]): Difference[] {
  return differences.map((difference) => {
    const { kind, place, aspect } = difference;
    if (kind !== 'signature' || aspect !== unsaid) return difference;
    const inside = differences.some((other) => other !== difference && isWithin(other.place, place));
    return inside ? difference : { ...difference, kind: 'content' };
  });
}

function isWithin(place: string, container: string): boolean {
  return place === container || place.startsWith(`${container}/`);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
