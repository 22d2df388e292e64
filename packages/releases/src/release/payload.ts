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
import type { Release, ReleaseComponent, ReleasePayload } from '@mbl/formats';
import { componentPath, mapPath, streamPath } from './paths.ts';
import { type Keeper, keepFile, keepUnsigned, storedAt } from './store.ts';

/** What of an older release a device may have when it gets this one. */
interface Base {
  /** By what the device knows that it has it: the root hash of that release's root, of an app the one of its own payload. */
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
      const component = components.find((one) => one.name === name);
      const source =
        component?.app === undefined
          ? components.find((one) => one.name === 'root')?.verity?.rootHash
          : component.payload?.rootHash;
      if (source !== undefined && component !== undefined && found.size < mostBases)
        found.set(source, { source, component });
    }
    return [...found.values()];
  };
}

/** Who packs with less than that does not count bytes: without a stream a release is made in half the time, and takes half the room. */
const leastForStream = 10;

export interface PayloadOptions extends Keeper {
  readonly bases: readonly Base[];
  /** Of zstd. */
  readonly level: number;
  readonly signal: AbortSignal;
}

/**
 * Makes the payload of a component that the repository has, and the copy maps from what older releases have in its place; both are there afterwards. The same
 * component and bases give the same bytes.
 */
export async function makePayload(
  component: ReleaseComponent,
  options: PayloadOptions,
): Promise<ReleasePayload> {
  const { repository, team, bases, level, signal } = options;
  const dataSize = dataSizeOf(component);
  const salt = component.verity?.salt ?? '';
  await using image = await openComponent(options, component);
  const rootHash = component.verity?.rootHash ?? (await hashOf(image, signal));
  const target = { dataBlocks: dataSize / BLOCK_SIZE, rootHash, salt: Buffer.from(salt, 'hex') };
  let made: Awaited<ReturnType<typeof writePayload>> | undefined;
  const payload = await keepFile(options, `${component.name}.payload`, async (write) => {
    made = await writePayload(image, target, write, { level, signal });
  });
  if (made === undefined) throw new Error('a payload was made');
  const { indexSize, indexSha256 } = made;
  const hasher = new GroupHasher(target);
  const digests = Buffer.alloc(target.dataBlocks * DIGEST_SIZE);
  {
    await using file = await open(storedAt(repository, componentPath(team, payload), payload.sha256));
    await file.read(digests, 0, digests.length, payload.size - indexSize - digests.length);
  }
  const table = new DigestTable(digests);
  const maps: { source: string; size: number }[] = [];
  for (const { source, component: base } of bases) {
    if (base.sha256 === component.sha256 || !(await isStored(options, base))) continue;
    await using old = await openComponent(options, base);
    const runs = await matchBlocks(table, old, hasher, signal);
    const map = await formatCopyMap({ target: rootHash, source, runs });
    const size = await keepUnsigned(repository, mapPath(team, rootHash, source), (write) => write(map));
    maps.push({ source, size });
  }
  const described = { ...payload, dataSize, rootHash, salt, indexSize, indexSha256, maps };
  if (level < leastForStream) return described;
  const streamSize = await keepUnsigned(
    repository,
    streamPath(team, rootHash),
    async (write) => void (await writeStream(image, write, { level, signal })),
  );
  return { ...described, streamSize };
}

function dataSizeOf({ verity, size }: ReleaseComponent): number {
  return verity?.dataSize ?? Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
}

async function isStored(keeper: Keeper, component: ReleaseComponent): Promise<boolean> {
  return await stat(pathOf(keeper, component)).then(
    (found) => found.size === component.size,
    () => false,
  );
}

async function openComponent(keeper: Keeper, component: ReleaseComponent): Promise<FileSource> {
  const dataSize = dataSizeOf(component);
  return await FileSource.open({
    name: component.file,
    path: pathOf(keeper, component),
    blocks: dataSize / BLOCK_SIZE,
    size: Math.min(dataSize, component.size),
  });
}

function pathOf({ repository, team }: Keeper, component: ReleaseComponent): string {
  return storedAt(repository, componentPath(team, component), component.sha256);
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
