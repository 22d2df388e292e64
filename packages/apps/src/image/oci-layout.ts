// SPDX-License-Identifier: Apache-2.0
import type { JsonRecord } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { badImage } from '../errors.ts';
import {
  type Descriptor,
  type ImageConfig,
  isForDevices,
  readConfig,
  readDescriptor,
  readDescriptors,
  readDocument,
  wrongArchitecture,
} from './documents.ts';
import type { ImageFile, ImageFiles } from './files.ts';
import { type Layer, layerOf, readWhole } from './layer.ts';
import type { OpenOptions } from './open.ts';

const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const configTypes = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];
/** What a layer may be (image-spec, layer.md; Docker's Image Manifest V2). How it is compressed its first bytes say. */
const layerTypes =
  /^application\/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar(?:\+(?:gzip|zstd))?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.(?:gzip|zstd))?)$/;
const mostManifests = 256;
const mostLevels = 4;

/** An image in the layout of OCI: from `index.json` by content to the manifest for our devices. */
export async function openLayout(
  files: ImageFiles,
  index: ImageFile,
  options: OpenOptions,
): Promise<{ id: string; config: ImageConfig; layers: readonly Layer[] }> {
  const { limits, tag } = options;
  const json = readDocument(await readWhole(index, 'index.json', undefined, limits), 'index.json', limits);
  checkDocument(json, 'index.json', indexTypes);
  const all = readDescriptors(json, 'manifests', mostManifests);
  const listed = tag === undefined ? all : all.filter(({ name }) => name === tag);
  // An image of several names is there several times.
  const images = [...new Map(listed.map((one) => [one.sha256, one])).values()].filter(isImage);
  const fitting = images.filter(({ platform }) => platform === undefined || isForDevices(platform));
  const [image] = fitting;
  if (image === undefined && images.length > 0)
    throw wrongArchitecture(images.flatMap(({ platform }) => platform ?? []));
  if (image === undefined || fitting.length > 1) throw whichImage(all.flatMap(({ name }) => name ?? []));
  const manifest = await findManifest(files, image, options, 0);
  const configuration = readDescriptor(manifest.object('config'));
  if (!configTypes.includes(configuration.mediaType))
    throw badImage(`it is an artifact of the type "${configuration.mediaType}", and holds no file system`);
  const bytes = await readWhole(
    await blobOf(files, configuration),
    'configuration',
    configuration.sha256,
    limits,
  );
  const config = readConfig(bytes, limits);
  const blobs = readDescriptors(manifest, 'layers', limits.layers);
  if (config.layers.length !== blobs.length)
    throw badImage('its configuration names another number of layers than its manifest');
  const layers: Layer[] = [];
  for (const [i, blob] of blobs.entries()) {
    if (/encrypted/.test(blob.mediaType)) throw badImage('a layer of it is encrypted');
    if (!layerTypes.test(blob.mediaType))
      throw badImage(`a layer of it has the unknown type "${blob.mediaType}"`);
    const file = await blobOf(files, blob);
    layers.push(layerOf(file, `layer ${i + 1}`, { blob: blob.sha256, content: config.layers[i] }, limits));
  }
  return { id: configuration.sha256, config, layers };
}

/** The manifest that a descriptor leads to, through indexes of platforms. */
async function findManifest(
  files: ImageFiles,
  descriptor: Descriptor,
  options: OpenOptions,
  level: number,
): Promise<ReturnType<typeof readDocument>> {
  const { limits } = options;
  const bytes = await readWhole(await blobOf(files, descriptor), 'manifest', descriptor.sha256, limits);
  const json = readDocument(bytes, 'a manifest of the image', limits);
  checkDocument(json, 'a manifest', [descriptor.mediaType]);
  if (manifestTypes.includes(descriptor.mediaType)) return json;
  if (!indexTypes.includes(descriptor.mediaType))
    throw badImage(`a manifest of it has the unknown type "${descriptor.mediaType}"`);
  if (level >= mostLevels) throw badImage(`it has more than ${mostLevels} indexes in one another`);
  const all = readDescriptors(json, 'manifests', mostManifests).filter(isImage);
  const fitting = all.filter(({ platform }) => platform === undefined || isForDevices(platform));
  // Of two for the same platform the first counts (image-spec, image-index.md).
  const [first] = fitting;
  if (first === undefined) throw wrongArchitecture(all.flatMap(({ platform }) => platform ?? []));
  return await findManifest(files, first, options, level + 1);
}

/**
 * Manifests and indexes: of the version that has digests, and what they are called by. A document that could be read as either would be another image for
 * another program (image-spec, manifest.md and image-index.md, on `mediaType`).
 */
function checkDocument(json: JsonRecord, what: string, types: readonly string[]): void {
  if (!json.is('schemaVersion', 2)) throw badImage(`${what} of it is of an old version`);
  const untyped = json.is('mediaType', undefined) || json.is('mediaType', null);
  if (!untyped && !types.some((type) => json.is('mediaType', type)))
    throw badImage(`${what} of it says that it is something else`);
  if (!json.is('manifests', undefined) && !json.is('layers', undefined))
    throw badImage(`${what} of it is a manifest and an index`);
}

/** Not what BuildKit puts beside images: attestations, for the platform "unknown". */
function isImage({ platform }: Descriptor): boolean {
  return platform?.os !== 'unknown';
}

async function blobOf(files: ImageFiles, { sha256, size }: Descriptor): Promise<ImageFile> {
  const file = await files.file(`blobs/sha256/${sha256}`);
  if (file === undefined) throw badImage(`it has no blob ${sha256}`);
  if (file.size !== size) throw badImage(`the blob ${sha256} has ${file.size} bytes, not ${size}`);
  return file;
}

/** Several images, or none of the name that was asked for. */
export function whichImage(names: readonly string[]): MblError {
  const known = names.length === 0 ? 'it names none' : `it has ${names.slice(0, 20).join(', ')}`;
  return new MblError('apps/which-image', `The archive does not say which image is meant: ${known}.`, {
    remedy: 'Name one with: --tag NAME',
    details: { names },
  });
}
