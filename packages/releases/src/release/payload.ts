// SPDX-License-Identifier: Apache-2.0
import { open, stat } from 'node:fs/promises';
import {
  BLOCK_SIZE,
  DIGEST_SIZE,
  DigestTable,
  FileSource,
  formatCopyMap,
  GroupHasher,
  matchBlocks,
  VerityHasher,
  writePayload,
  writeStream,
} from '@mbl/blocks';
import { osTeam, type Release, type ReleaseComponent, type ReleasePayload } from '@mbl/formats';
import { componentPath, mapPath, streamPath } from './paths.ts';
import { keepFile, keepUnsigned, storedAt } from './store.ts';

/** What of an older release a device may have when it gets this one. */
interface Base {
  /** The root hash of that release's root. */
  readonly source: string;
  readonly component: ReleaseComponent;
}

/** Maps are made from so many of the newest releases before this one: a device that runs an older one does without. */
const mostBases = 4;

/** Of each component, by its name: what the releases before have for that machine, the newest first. */
export function basesOf(releases: readonly Release[], machine: string): (name: string) => Base[] {
  const images = releases
    .toReversed()
    .flatMap(({ images: all }) => all.filter((image) => image.machine === machine));
  return (name) => {
    const found = new Map<string, Base>();
    for (const { components } of images) {
      const source = components.find((one) => one.name === 'root')?.verity?.rootHash;
      const component = components.find((one) => one.name === name);
      if (source !== undefined && component !== undefined && found.size < mostBases)
        found.set(source, { source, component });
    }
    return [...found.values()];
  };
}

/** Who packs with less than that does not count bytes: without a stream a release is made in half the time, and takes half the room. */
const leastForStream = 10;

export interface PayloadOptions {
  /** The repository's folder, which has the component. */
  readonly repository: string;
  readonly bases: readonly Base[];
  /** Of zstd. */
  readonly level: number;
  readonly signal: AbortSignal;
}

/**
 * Makes the payload of a component, and the copy maps from what older releases have in its place; both are in the repository afterwards. The same
 * component and bases give the same bytes.
 */
export async function makePayload(
  component: ReleaseComponent,
  { repository, bases, level, signal }: PayloadOptions,
): Promise<ReleasePayload> {
  const dataSize = dataSizeOf(component);
  const salt = component.verity?.salt ?? '';
  await using image = await openComponent(repository, component);
  const rootHash = component.verity?.rootHash ?? (await hashOf(image, signal));
  const target = { dataBlocks: dataSize / BLOCK_SIZE, rootHash, salt: Buffer.from(salt, 'hex') };
  let made: Awaited<ReturnType<typeof writePayload>> | undefined;
  const payload = await keepFile(repository, `${component.name}.payload`, async (write) => {
    made = await writePayload(image, target, write, { level, signal });
  });
  if (made === undefined) throw new Error('a payload was made');
  const { indexSize, indexSha256 } = made;
  const hasher = new GroupHasher(target);
  const digests = Buffer.alloc(target.dataBlocks * DIGEST_SIZE);
  {
    await using file = await open(storedAt(repository, componentPath(osTeam, payload), payload.sha256));
    await file.read(digests, 0, digests.length, payload.size - indexSize - digests.length);
  }
  const table = new DigestTable(digests);
  const maps: { source: string; size: number }[] = [];
  for (const { source, component: base } of bases) {
    if (base.sha256 === component.sha256 || !(await isStored(repository, base))) continue;
    await using old = await openComponent(repository, base);
    const runs = await matchBlocks(table, old, hasher, signal);
    const map = await formatCopyMap({ target: rootHash, source, runs });
    const size = await keepUnsigned(repository, mapPath(osTeam, rootHash, source), (write) => write(map));
    maps.push({ source, size });
  }
  const described = { ...payload, dataSize, rootHash, salt, indexSize, indexSha256, maps };
  if (level < leastForStream) return described;
  const streamSize = await keepUnsigned(
    repository,
    streamPath(osTeam, rootHash),
    async (write) => void (await writeStream(image, write, { level, signal })),
  );
  return { ...described, streamSize };
}

function dataSizeOf({ verity, size }: ReleaseComponent): number {
  return verity?.dataSize ?? Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
}

async function isStored(repository: string, component: ReleaseComponent): Promise<boolean> {
  return await stat(pathOf(repository, component)).then(
    (found) => found.size === component.size,
    () => false,
  );
}

async function openComponent(repository: string, component: ReleaseComponent): Promise<FileSource> {
  const dataSize = dataSizeOf(component);
  return await FileSource.open({
    name: component.file,
    path: pathOf(repository, component),
    blocks: dataSize / BLOCK_SIZE,
    size: Math.min(dataSize, component.size),
  });
}

function pathOf(repository: string, component: ReleaseComponent): string {
  return storedAt(repository, componentPath(osTeam, component), component.sha256);
}

async function hashOf(image: FileSource, signal: AbortSignal): Promise<string> {
  const hasher = new VerityHasher(Buffer.alloc(0));
  const buffer = Buffer.alloc(128 * BLOCK_SIZE);
  for (let first = 0; first < image.blocks; first += 128) {
    signal.throwIfAborted();
    const piece = buffer.subarray(0, Math.min(128, image.blocks - first) * BLOCK_SIZE);
    await image.read(first, piece);
    hasher.update(piece);
  }
  return hasher.finish().rootHash;
}
