// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { formatRelease, maxReleaseBytes, parseRelease, type Release } from './release.ts';

const kernelHash = 'ab'.repeat(32);
const rootHash = 'cd'.repeat(32);

const good: Release = {
  version: 1,
  team: 'os',
  name: '1.1',
  keys: 'production',
  rollbackIndex: 3,
  notes: 'Two lines,\n\tand a "quote": ü.',
  images: [
    {
      machine: 'qemu-arm64',
      image: 'production',
      buildId: '0123456789abcdef',
      components: [
        {
          name: 'kernel',
          version: '6.12.118-1',
          file: 'kernel.itb',
          size: 100,
          sha256: kernelHash,
          requires: [{ component: 'root', sha256: rootHash }],
        },
        {
          name: 'root',
          version: '0.1.0+01234567',
          file: 'root.img',
          size: 8192,
          sha256: rootHash,
          verity: { dataSize: 4096, hashOffset: 4096, rootHash: kernelHash, salt: 'ff00' },
          payload: {
            file: 'root.payload',
            size: 5000,
            sha256: kernelHash,
            dataSize: 4096,
            rootHash: kernelHash,
            salt: 'ff00',
            indexSize: 100,
            indexSha256: rootHash,
            streamSize: 4000,
            maps: [{ source: rootHash, size: 80 }],
          },
          requires: [],
        },
      ],
      packages: { file: 'packages.cdx.json', size: 10, sha256: kernelHash },
    },
  ],
};

type Json = Record<string, unknown>;

/** The text of the good release with one thing changed; a number in `path` is a place in a list. */
function changed(path: string, value: unknown): string {
  const copy = structuredClone(good) as unknown as Json;
  const names = path.split('.');
  const last = names.pop() ?? '';
  const inner = names.reduce((at, name) => at[name] as Json, copy);
  inner[last] = value;
  return JSON.stringify(copy);
}

test('what is written is read, and there is one text of it', () => {
  const text = formatRelease(good);
  assert.deepEqual(parseRelease(text, 'release.json'), good);
  const turned = Object.fromEntries(Object.entries(good).toReversed()) as unknown as Release;
  assert.equal(formatRelease(turned), text);
  assert.ok(text.startsWith('{"images":[{"buildId":"0123456789abcdef","components":[{"file":"kernel.itb"'));
  assert.equal(formatRelease(parseRelease(text, 'release.json')), text);
});

test('a release of a later program with members that this one does not know is read', () => {
  const more = changed('images.0.components.0.later', { anything: [1] });
  assert.deepEqual(parseRelease(more, 'release.json'), good);
});

test('what is not well formed is refused by name', () => {
  for (const [path, value, message] of [
    ['version', 2, /"version" must be 1/],
    ['team', 'Operating System', /"team"/],
    ['team', 'targets', /not the name of a TUF role/],
    ['name', '../1.1', /"name"/],
    ['name', '', /"name"/],
    ['keys', 'other', /"keys"/],
    ['rollbackIndex', -1, /"rollbackIndex"/],
    ['rollbackIndex', 1025, /"rollbackIndex"/],
    ['notes', 'a\u0007', /"notes"/],
    ['images', [], /"images" must hold one at least/],
    ['images', [good.images[0], good.images[0]], /a machine is there twice/],
    ['images.0.machine', '../x', /"images\[0\]\.machine"/],
    ['images.0.components', [], /"components" must hold one at least/],
    [
      'images.0.components',
      [1, 1].fill(0).map(() => good.images[0]?.components[1]),
      /a component is there twice/,
    ],
    ['images.0.components.0.file', 'a/b', /components\[0\]\.file/],
    ['images.0.components.0.sha256', 'ab', /components\[0\]\.sha256/],
    ['images.0.components.0.name', 'thermostat', /the team os has no component thermostat/],
    [
      'images.0.components.0.requires',
      [{ component: 'root', sha256: kernelHash }],
      /requires a root that is not/,
    ],
    [
      'images.0.components.0.requires',
      [{ component: 'app', sha256: kernelHash }],
      /requires a app that is not/,
    ],
    ['images.0.components.1.verity.dataSize', 4095, /whole blocks/],
    ['images.0.components.1.verity.hashOffset', 0, /whole blocks/],
    ['images.0.components.1.size', 4095, /whole blocks/],
    ['images.0.components.1.verity.salt', 'f', /verity\.salt/],
    ['images.0.components.1.payload.dataSize', 8192, /data of the component/],
    ['images.0.components.1.payload.rootHash', rootHash, /payload\.rootHash/],
    ['images.0.components.1.payload.salt', 'ff', /payload\.salt/],
    ['images.0.components.1.payload.indexSize', 2 ** 21, /payload\.indexSize/],
    ['images.0.components.1.payload.streamSize', -1, /payload\.streamSize/],
    ['images.0.components.1.payload.maps', [{ source: '../x', size: 1 }], /source/],
    ['images.0.packages.file', '.hidden', /packages\.file/],
  ] as const)
    assert.throws(
      () => parseRelease(changed(path, value), 'release.json'),
      { code: 'formats/bad-release', message },
      path,
    );
});

test('a team of an app has no component of the operating system', () => {
  assert.throws(() => parseRelease(changed('team', 'thermostat'), 'release.json'), {
    code: 'formats/bad-release',
    message: /the team thermostat has no component kernel/,
  });
});

test('whatever stands in the file, the reader throws its own error or nothing', () => {
  const own = (text: string) => {
    try {
      parseRelease(text, 'release.json');
    } catch (error) {
      assert.ok(error instanceof MblError && error.code === 'formats/bad-release', String(error));
    }
  };
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), own));
  const paths = [
    'team',
    'notes',
    'images',
    'images.0.components',
    'images.0.components.0',
    'images.0.components.0.requires',
    'images.0.components.1.verity',
    'images.0.packages',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => own(changed(path, value))),
  );
  const text = formatRelease(good);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), (at, put) =>
      own(text.slice(0, at) + put + text.slice(at + 1)),
    ),
  );
  own(`${' '.repeat(maxReleaseBytes)}${text}`);
  own('['.repeat(100_000));
});
