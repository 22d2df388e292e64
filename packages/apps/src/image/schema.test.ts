// SPDX-License-Identifier: Apache-2.0
//
// How images are read, beside the schema of OCI's image-spec: every value of a whole image is exchanged for others, and what the reader takes has to be what
// the schema takes. Where the two differ is written down here.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { defaultLimits } from '../limits.ts';
import { imageSchema } from '../testing/image-schema.ts';
import { layout, ociLayout, type TestImage, writeFiles } from '../testing/images.ts';
import { rawTar } from '../testing/tar.ts';
import { openImage } from './open.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-schema-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const schema = imageSchema();
const tar = rawTar([{ name: 'a', data: 'x' }]);

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Part = 'index' | 'manifest' | 'config';
type Path = readonly (string | number)[];

const annotations = { 'org.opencontainers.image.ref.name': 'app', 'org.example.note': 'x' };
const config: Json = {
  created: '2026-01-01T00:00:00Z',
  author: 'somebody',
  architecture: 'arm64',
  variant: 'v8',
  os: 'linux',
  'os.version': '1',
  'os.features': ['x'],
  config: {
    User: 'root',
    ExposedPorts: { '8080/tcp': {} },
    Env: ['A=b'],
    Entrypoint: ['/a'],
    Cmd: ['b'],
    Volumes: { '/data': {} },
    WorkingDir: '/',
    Labels: { a: 'b' },
    StopSignal: 'SIGTERM',
    ArgsEscaped: true,
  },
  rootfs: { type: 'layers', diff_ids: ['layer'] },
  history: [
    { created: '2026-01-01T00:00:00Z', author: 'x', created_by: 'x', comment: 'x', empty_layer: false },
  ],
};

/** The three documents of an image with everything in it, where one value was exchanged. */
function imageWith(change?: { readonly part: Part; readonly path: Path; readonly value: Json | undefined }) {
  const all = layout();
  const layer = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    ...all.add(tar),
    urls: ['https://x'],
    annotations,
  };
  const documents = new Map<Part, Json>();
  const put = (part: Part, whole: Json) => {
    const document = change?.part === part ? replaced(whole, change.path, change.value) : whole;
    documents.set(part, document);
    return all.add(Buffer.from(JSON.stringify(document)));
  };
  const settings = JSON.parse(
    JSON.stringify(config).replace('"layer"', JSON.stringify(layer.digest)),
  ) as Json;
  const manifest = put('manifest', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType: 'application/x.y',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      ...put('config', settings),
      annotations,
    },
    layers: [layer],
    annotations,
  });
  const index: Json = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        ...manifest,
        urls: ['https://x'],
        platform: {
          architecture: 'arm64',
          os: 'linux',
          variant: 'v8',
          'os.version': '1',
          'os.features': ['x'],
        },
        annotations,
      },
    ],
    annotations,
  };
  const whole = change?.part === 'index' ? replaced(index, change.path, change.value) : index;
  documents.set('index', whole);
  all.files.set('index.json', Buffer.from(JSON.stringify(whole)));
  return { documents, files: all.files };
}

/** The same with another value at a path; undefined: without it. */
function replaced(whole: Json, [first = '', ...rest]: Path, value: Json | undefined): Json {
  const next = (inner: Json) => (rest.length === 0 ? value : replaced(inner, rest, value));
  const entries = Object.entries(whole ?? {}).flatMap(([key, inner]: [string, Json]) => {
    const put = key === String(first) ? next(inner) : inner;
    return put === undefined ? [] : [[key, put] as const];
  });
  return Array.isArray(whole) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

function* pathsOf(whole: Json, at: Path = []): Generator<Path> {
  if (at.length > 0) yield at;
  if (typeof whole !== 'object' || whole === null) return;
  for (const [key, inner] of Object.entries(whole))
    yield* pathsOf(inner, [...at, Array.isArray(whole) ? Number(key) : key]);
}

let count = 0;
/** The code of the error that an image is refused with. */
async function refusal(files: ReadonlyMap<string, Buffer>): Promise<string | undefined> {
  const path = join(folder, String((count += 1)));
  writeFiles(path, files);
  try {
    await using image = await openImage(path, { limits: defaultLimits, scratch: folder });
    for (const layer of image.layers) for await (const _ of layer.read());
    return undefined;
  } catch (error) {
    assert.ok(error instanceof MblError, String(error));
    return error.code;
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

test('images that tests are made of are images by the schema', () => {
  const image: TestImage = {
    layers: [tar],
    variant: 'v8',
    config: { Cmd: ['/a'], Volumes: { '/data': {} } },
  };
  const platform = { os: 'linux', architecture: 'arm64' };
  const several = layout();
  const nested = several.finish([{ ...several.addImage(image), platform }]);
  for (const files of [ociLayout(image), ociLayout(image, 'none'), ociLayout(image, 'zstd'), nested])
    checkLayout(files);
  checkLayout(imageWith().files);
});

/** Follows the descriptors of a layout, and holds each document against its schema. */
function checkLayout(files: ReadonlyMap<string, Buffer>): void {
  const read = (name: string) => JSON.parse(files.get(name)?.toString() ?? 'null') as Json;
  const blob = ({ digest }: { digest: string }) => read(`blobs/${digest.replace(':', '/')}`);
  const hold = (what: keyof typeof schema, document: unknown) =>
    assert.ok(schema[what](document), `${what}: ${JSON.stringify(schema[what].errors)}`);
  hold('layout', read('oci-layout'));
  const index = read('index.json') as { manifests: { digest: string }[] };
  hold('index', index);
  for (const one of index.manifests) {
    const manifest = blob(one) as { config: { digest: string } };
    hold('manifest', manifest);
    hold('config', blob(manifest.config));
  }
}

const values: readonly (Json | undefined)[] = [
  undefined,
  null,
  true,
  -1,
  1.5,
  '',
  'x',
  [],
  [1],
  {},
  { a: 1 },
];

/** Taken, and none by the schema: what an app takes nothing of, and `null`, which tools in Go write for what is not there. */
const lenient = [
  / urls\b/,
  / annotations\b/,
  / os\.(version|features)\b/,
  /^manifest artifactType\b/,
  /^config (created|author|history)\b/,
  /^config config (Labels|ArgsEscaped)\b/,
  /^(index|manifest) mediaType = null$/,
  /^(config|index manifests 0 platform) variant = null$/,
  /^index manifests 0 platform = null$/,
  /^config config( \w+)? = null$/,
];
/** Refused, and valid: for another machine, without the content that it is to have, or what no app can have. */
const strict = [
  /: apps\/wrong-architecture$/,
  /^index manifests( 0)? = \S+: apps\/which-image$/,
  /^\w+ .*size = -1: /,
  /^config rootfs diff_ids\b/,
  /ref\.name = "": /,
  /^config config (Env|Entrypoint|Cmd) 0 = "": /,
];

test('what the reader takes is an image by the schema, but for what no app is made of', async () => {
  assert.equal(await refusal(imageWith().files), undefined);
  const found: Record<'lenient' | 'strict', string[]> = { lenient: [], strict: [] };
  const whole = imageWith().documents;
  for (const part of ['index', 'manifest', 'config'] as const)
    for (const path of pathsOf(whole.get(part) ?? null))
      for (const value of values) {
        const { documents, files } = imageWith({ part, path, value });
        const valid = [...documents].every(([what, document]) => schema[what](document));
        const code = await refusal(files);
        const what = `${part} ${path.join(' ')} = ${JSON.stringify(value)}`;
        if (code === undefined && !valid) found.lenient.push(what);
        if (code !== undefined && valid) found.strict.push(`${what}: ${code}`);
      }
  for (const [kind, rules] of [
    ['lenient', lenient],
    ['strict', strict],
  ] as const) {
    const lines = found[kind];
    assert.deepEqual(
      lines.filter((line) => !rules.some((rule) => rule.test(line))),
      [],
      kind,
    );
    for (const rule of rules)
      assert.ok(
        lines.some((line) => rule.test(line)),
        `${kind}: ${rule} has no case any more`,
      );
  }
});
