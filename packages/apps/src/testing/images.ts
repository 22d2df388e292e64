// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type RawEntry, rawTar } from './tar.ts';

/** An image, as a test describes it. */
export interface TestImage {
  /** Tar archives, the lowest first. */
  readonly layers: readonly Buffer[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
  readonly os?: string;
  readonly variant?: string;
}

export const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

export function configOf({
  layers,
  config = {},
  architecture = 'arm64',
  os = 'linux',
  variant,
}: TestImage): Buffer {
  return json({
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digest(layer)}`) },
    history: [],
  });
}

/** `docker save` before version 25; `links`: as skopeo writes it, `<id>/layer.tar` is a link to the file beside it. */
export function dockerSave(image: TestImage, links = false, tags: readonly string[] = ['app:1']): Buffer {
  const config = configOf(image);
  const entries: RawEntry[] = [];
  const names = image.layers.map((layer, i) => {
    const id = digest(Buffer.from(`${i}`));
    if (links) entries.push({ name: `${digest(layer)}.tar`, data: layer });
    entries.push({ name: `${id}/` }, { name: `${id}/VERSION`, data: '1.0' });
    entries.push(
      links
        ? { name: `${id}/layer.tar`, kind: '2', link: `../${digest(layer)}.tar` }
        : { name: `${id}/layer.tar`, data: layer },
    );
    return `${id}/layer.tar`;
  });
  const name = `${digest(config)}.json`;
  const manifest = json([{ Config: name, RepoTags: tags, Layers: names }]);
  return rawTar([...entries, { name, data: config }, { name: 'manifest.json', data: manifest }]);
}

export type Packing = 'none' | 'gzip' | 'zstd';

const pack: Readonly<Record<Packing, (bytes: Buffer) => Buffer>> = {
  none: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
};

export interface Layout {
  /** Contents by path. */
  readonly files: Map<string, Buffer>;
  readonly add: (bytes: Buffer) => { digest: string; size: number };
  readonly addImage: (
    image: TestImage,
    packing?: Packing,
  ) => { mediaType: string; digest: string; size: number };
  readonly finish: (manifests: readonly unknown[]) => Map<string, Buffer>;
}

/** The layout of OCI, blob by blob. */
export function layout(): Layout {
  const files = new Map<string, Buffer>([['oci-layout', json({ imageLayoutVersion: '1.0.0' })]]);
  const add = (bytes: Buffer) => {
    files.set(`blobs/sha256/${digest(bytes)}`, bytes);
    return { digest: `sha256:${digest(bytes)}`, size: bytes.length };
  };
  return {
    files,
    add,
    addImage(image, packing = 'gzip') {
      const suffix = packing === 'none' ? '' : `+${packing}`;
      const layers = image.layers.map((layer) => ({
        mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`,
        ...add(pack[packing](layer)),
      }));
      const config = { mediaType: 'application/vnd.oci.image.config.v1+json', ...add(configOf(image)) };
      const mediaType = 'application/vnd.oci.image.manifest.v1+json';
      return { mediaType, ...add(json({ schemaVersion: 2, mediaType, config, layers })) };
    },
    finish(manifests) {
      files.set('index.json', json({ schemaVersion: 2, manifests }));
      return files;
    },
  };
}

/** An image in the layout of OCI, alone. */
export function ociLayout(image: TestImage, packing: Packing = 'gzip'): Map<string, Buffer> {
  const one = layout();
  return one.finish([one.addImage(image, packing)]);
}

/** `docker save` since version 25: the layout of OCI, and a `manifest.json` that names its blobs. */
export function newDockerSave(image: TestImage): Buffer {
  const files = ociLayout(image, 'none');
  const manifest = [
    {
      Config: `blobs/sha256/${digest(configOf(image))}`,
      RepoTags: ['app:1'],
      Layers: image.layers.map((layer) => `blobs/sha256/${digest(layer)}`),
    },
  ];
  return archiveOf(new Map([...files, ['manifest.json', json(manifest)]]));
}

export function archiveOf(files: ReadonlyMap<string, Buffer>): Buffer {
  return rawTar([...files].map(([name, data]) => ({ name, data })));
}

export function writeFiles(folder: string, files: ReadonlyMap<string, Buffer>): void {
  for (const [name, data] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), data);
  }
}
