// SPDX-License-Identifier: Apache-2.0
import { badImage } from '../errors.ts';
import { type ImageConfig, readConfig } from './documents.ts';
import { readRecord } from '@mbl/formats';
import type { ImageFile, ImageFiles } from './files.ts';
import { type Layer, layerOf, readWhole } from './layer.ts';
import { whichImage } from './oci-layout.ts';
import type { OpenOptions } from './open.ts';

/** `docker save` before version 25, and `skopeo copy … docker-archive:`: `manifest.json` names a configuration and layers. */
export async function openDockerArchive(
  files: ImageFiles,
  manifest: ImageFile,
  { limits, tag }: OpenOptions,
): Promise<{ id: string | undefined; config: ImageConfig; layers: readonly Layer[] }> {
  const text = (await readWhole(manifest, 'manifest.json', undefined, limits)).toString();
  // A list, which no reader of objects takes.
  const json = readRecord(`{"images":${text}}`, {
    path: 'manifest.json',
    code: 'apps/bad-image',
    most: limits.document,
  });
  const images = json.objects('images', 256).map((one) => ({
    config: one.string('Config'),
    layers: one.strings('Layers', limits.layers),
    tags: one.is('RepoTags', null) || one.is('RepoTags', undefined) ? [] : one.strings('RepoTags', 64),
  }));
  const named = tag === undefined ? images : images.filter(({ tags }) => tags.includes(tag));
  const [image] = named;
  if (image === undefined || named.length > 1) throw whichImage(images.flatMap(({ tags }) => tags));
  const id = contentName(image.config);
  const config = readConfig(
    await readWhole(await files.file(image.config), 'configuration', id, limits),
    limits,
  );
  if (config.layers.length !== image.layers.length)
    throw badImage('its configuration names another number of layers than its manifest');
  const layers: Layer[] = [];
  for (const [i, name] of image.layers.entries()) {
    const file = await files.file(name);
    if (file === undefined) throw badImage(`it has no ${name}`);
    const blob = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
    layers.push(layerOf(file, name, { blob, content: config.layers[i] }, limits));
  }
  return { id, config, layers };
}

/** The digest that a configuration is called by: `<digest>.json`, `blobs/sha256/<digest>`. */
function contentName(name: string): string | undefined {
  return /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
}
