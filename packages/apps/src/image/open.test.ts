// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { assert as assertProperty, asyncProperty, nat } from 'fast-check';
import { defaultLimits } from '../limits.ts';
import {
  archiveOf,
  configOf,
  digest,
  dockerSave,
  layout,
  ociLayout,
  type TestImage,
  writeFiles,
} from '../testing/images.ts';
import { rawTar } from '../testing/tar.ts';
import { openImage } from './open.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-open-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const layer = rawTar([{ name: 'a', data: 'x' }]);
const image: TestImage = { layers: [layer], config: { Cmd: ['/a'] } };
let count = 0;

/** Opens an image, and reads all its layers to their ends. */
async function read(source: Buffer | ReadonlyMap<string, Buffer>, tag?: string) {
  const path = join(folder, String((count += 1)));
  if (Buffer.isBuffer(source)) writeFileSync(path, source);
  else writeFiles(path, source);
  await using opened = await openImage(path, { limits: defaultLimits, scratch: folder, tag });
  const layers: Buffer[] = [];
  for (const one of opened.layers) {
    const pieces: Buffer[] = [];
    for await (const piece of one.read()) pieces.push(piece);
    layers.push(Buffer.concat(pieces));
  }
  return { ...opened, layers };
}

const refused = async (
  source: Buffer | ReadonlyMap<string, Buffer>,
  code: string,
  message: RegExp,
  tag?: string,
) => {
  await assert.rejects(read(source, tag), (error: unknown) => {
    assert.ok(error instanceof MblError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
};

test('of an image for several machines the one for devices is taken, through indexes in one another', async () => {
  const all = layout();
  const other = all.addImage({ ...image, architecture: 'amd64', config: { Cmd: ['/other'] } });
  const ours = all.addImage(image);
  const attestation = {
    ...all.addImage({ ...image, os: 'unknown', architecture: 'unknown' }),
    platform: { os: 'unknown', architecture: 'unknown' },
  };
  const inner = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      manifests: [
        { ...other, platform: { os: 'linux', architecture: 'amd64' } },
        { ...ours, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        attestation,
      ],
    }),
  );
  const index = { mediaType: 'application/vnd.oci.image.index.v1+json', ...all.add(inner) };
  const { config, id } = await read(archiveOf(all.finish([index])));
  assert.deepEqual(config.command, ['/a']);
  assert.equal(id, digest(configOf(image)));
});

test('an image for another machine is refused, and what it is for is said', async () => {
  const wrong = (more: Partial<TestImage>) => ociLayout({ ...image, ...more });
  await refused(
    wrong({ architecture: 'amd64' }),
    'apps/wrong-architecture',
    /for linux\/amd64; devices run linux\/arm64/,
  );
  await refused(wrong({ architecture: 'arm', variant: 'v7' }), 'apps/wrong-architecture', /linux\/arm\/v7/);
  await refused(wrong({ variant: 'v9' }), 'apps/wrong-architecture', /linux\/arm64\/v9/);
  await refused(wrong({ os: 'windows' }), 'apps/wrong-architecture', /windows\/arm64/);
  await refused(dockerSave({ ...image, architecture: 'amd64' }), 'apps/wrong-architecture', /linux\/amd64/);
  const all = layout();
  const one = (architecture: string) => ({
    ...all.addImage({ ...image, architecture }),
    platform: { os: 'linux', architecture },
  });
  const attestation = { ...one('unknown'), platform: { os: 'unknown', architecture: 'unknown' } };
  await refused(
    archiveOf(all.finish([one('amd64'), one('s390x'), attestation])),
    'apps/wrong-architecture',
    /amd64, linux\/s390x;/,
  );
});

test('of several images one has to be named', async () => {
  const all = layout();
  const named = (name: string, command: string) => ({
    ...all.addImage({ ...image, config: { Cmd: [command] } }),
    annotations: { 'org.opencontainers.image.ref.name': name },
  });
  const files = all.finish([named('one', '/1'), named('two', '/2')]);
  await refused(archiveOf(files), 'apps/which-image', /one, two/);
  assert.deepEqual((await read(archiveOf(files), 'two')).config.command, ['/2']);
  await refused(archiveOf(files), 'apps/which-image', /one, two/, 'three');
  await refused(dockerSave(image, false, ['a:1']), 'apps/which-image', /a:1/, 'b:1');
  assert.equal((await read(dockerSave(image, false, ['a:1', 'b:1']), 'b:1')).kind, 'archive of docker save');
});

test('every file is what the image names by its digest, or the image is refused', async () => {
  const swap = (
    files: Map<string, Buffer>,
    which: (name: string, bytes: Buffer) => boolean,
    by: (bytes: Buffer) => Buffer,
  ) => new Map([...files].map(([name, bytes]) => [name, which(name, bytes) ? by(bytes) : bytes]));
  const flip = (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(copy.length - 9) ^ 1, copy.length - 9);
    return copy;
  };
  const files = ociLayout(image, 'none');
  const isLayer = (_: string, bytes: Buffer) => bytes.equals(layer);
  await read(archiveOf(files));
  await refused(archiveOf(swap(files, isLayer, flip)), 'apps/wrong-content', /layer 1/);
  await refused(
    archiveOf(swap(files, isLayer, (bytes) => bytes.subarray(512))),
    'apps/bad-image',
    /bytes, not/,
  );
  const isConfig = (_: string, bytes: Buffer) => bytes.equals(configOf(image));
  await refused(archiveOf(swap(files, isConfig, flip)), 'apps/wrong-content', /configuration/);
  // The time in the header of gzip: other bytes of the same content.
  const packed = ociLayout(image, 'gzip');
  const isPacked = (_: string, bytes: Buffer) => bytes[0] === 0x1f;
  const later = (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 4), Buffer.from([1]), bytes.subarray(5)]);
  await refused(archiveOf(swap(packed, isPacked, later)), 'apps/wrong-content', /layer 1/);
  // A layer whose own digest fits, but not that of its content.
  const all = layout();
  const other = { ...image, layers: [rawTar([{ name: 'b' }])] };
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...all.add(configOf(image)) },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        ...all.add(gzipSync(other.layers[0] ?? layer)),
      },
    ],
  };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const mixed = all.finish([{ mediaType, ...all.add(Buffer.from(JSON.stringify(manifest))) }]);
  await refused(archiveOf(mixed), 'apps/wrong-content', /layer 1/);
  // The older form has digests of contents only.
  const save = dockerSave(image);
  const at = save.indexOf(layer);
  save.writeUInt8(save.readUInt8(at + 512) ^ 1, at + 512);
  await refused(save, 'apps/wrong-content', /layer\.tar/);
});

test('what is missing, or of another kind, is named', async () => {
  const files = ociLayout(image);
  const without = (part: string) => new Map([...files].filter(([name]) => !name.includes(part)));
  await refused(archiveOf(without(digest(configOf(image)))), 'apps/bad-image', /no blob/);
  await refused(without('index.json'), 'apps/no-image', /neither an index\.json nor a manifest\.json/);
  const index = (...manifests: unknown[]) =>
    archiveOf(
      new Map([...files, ['index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }))]]),
    );
  await refused(index(), 'apps/which-image', /names none/);
  await refused(
    index({ mediaType: 'text/plain', digest: `sha256:${'0'.repeat(64)}`, size: 1 }),
    'apps/bad-image',
    /no blob/,
  );
  await refused(index({ mediaType: 'x', digest: 'sha512:00', size: 1 }), 'apps/bad-image', /no SHA-256/);
  await refused(
    index({ mediaType: 'x', digest: '../../etc/passwd', size: 1 }),
    'apps/bad-image',
    /no SHA-256/,
  );
  const all = layout();
  const artifact = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', ...all.add(Buffer.from('{}')) },
    layers: [],
  };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  await refused(
    archiveOf(all.finish([{ mediaType, ...all.add(Buffer.from(JSON.stringify(artifact))) }])),
    'apps/bad-image',
    /an artifact/,
  );
  const manifest = (value: unknown) => rawTar([{ name: 'manifest.json', data: JSON.stringify(value) }]);
  await refused(manifest([{ Config: '../x', Layers: [] }]), 'apps/bad-image', /leads out/);
  await refused(manifest([{ Config: 'x', Layers: [] }]), 'apps/bad-image', /no configuration/);
  await refused(manifest({}), 'apps/bad-image', /must be a list/);
  await refused(rawTar([{ name: 'manifest.json', data: '{' }]), 'apps/bad-image', /not JSON/);
});

test('a document that another program could read as another image is refused', async () => {
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  const indexType = 'application/vnd.oci.image.index.v1+json';
  const all = layout();
  const layers = [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...all.add(layer) }];
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', ...all.add(configOf(image)) };
  const put = (document: object) => all.add(Buffer.from(JSON.stringify({ schemaVersion: 2, ...document })));
  const taken = { config, layers };
  const named = (mediaType: string, document: object) =>
    archiveOf(all.finish([{ mediaType, ...put(document) }]));
  await read(named(manifestType, taken));
  const other = { mediaType: manifestType, ...put(taken) };
  await refused(
    named(manifestType, { ...taken, manifests: [other] }),
    'apps/bad-image',
    /a manifest and an index/,
  );
  await refused(
    named(indexType, { manifests: [other], layers }),
    'apps/bad-image',
    /a manifest and an index/,
  );
  await refused(
    named(manifestType, { ...taken, mediaType: indexType }),
    'apps/bad-image',
    /says that it is something else/,
  );
  const unknown = { ...taken, layers: [{ ...layers[0], mediaType: 'application/x' }] };
  await refused(named(manifestType, unknown), 'apps/bad-image', /a layer of it has the unknown type/);
});

test('a link in an archive leads to a file of the archive, or nowhere', async () => {
  const link = (target: string) =>
    rawTar([
      { name: 'manifest.json', data: JSON.stringify([{ Config: 'c', Layers: [] }]) },
      { name: 'etc/passwd', data: '{}' },
      { name: 'c', kind: '2', link: target },
    ]);
  for (const target of ['/etc/passwd', '../../etc/passwd', 'c', 'nothing'])
    await refused(link(target), 'apps/bad-image', /no configuration/);
});

test('whatever is changed in an archive, only our error comes out', async () => {
  const good = dockerSave(image);
  await assertProperty(
    asyncProperty(nat(good.length - 1), nat(255), nat(good.length), async (at, value, end) => {
      const changed = Buffer.from(good.subarray(0, end));
      if (at < changed.length) changed[at] = value;
      await read(changed).catch((error: unknown) => assert.ok(error instanceof MblError, String(error)));
    }),
    { numRuns: 60 },
  );
});
