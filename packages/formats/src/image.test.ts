// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { formatImage, type ImageDescription, parseImage, parseImageIdentity } from './image.ts';

const hash = 'ab'.repeat(32);
const good: ImageDescription = {
  version: 1,
  machine: 'qemu-arm64',
  image: 'development',
  buildId: '0123456789abcdef',
  keys: 'production',
  components: {
    'boot-firmware': { version: '2.12.1', sha256: hash },
    kernel: { version: '6.12.117', sha256: hash },
    root: { version: '0.1.0+01234567', rootHash: hash },
  },
  flash: {
    file: 'flash.bin',
    size: 100,
    parts: { bl1: { offset: 0, size: 40 }, 'u-boot': { offset: 40, size: 60 } },
  },
  disk: {
    file: 'disk.img',
    size: 4096,
    sectorSize: 512,
    partitions: [{ name: 'boot_a', offset: 1024, size: 3072 }],
  },
  fit: { parts: { kernel: { offset: 10, size: 20 } } },
  root: { dataSize: 4096, hashOffset: 4096, rootHash: hash, salt: 'ff00' },
  emulator: {
    binary: 'qemu-system-aarch64',
    args: ['-m', '512'],
    disk: 'virtio-blk-device',
    serialConsole: 0,
    secureConsole: 1,
  },
};

/** The text of the good description with one thing changed; `path` as in `disk.file`. */
function changed(path: string, value: unknown): string {
  const copy = structuredClone(good) as unknown as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop() ?? '';
  const inner = names.reduce((at, name) => at[name] as Record<string, unknown>, copy);
  inner[last] = value;
  return JSON.stringify(copy);
}

test('what is written is read, with an emulator and without', () => {
  assert.deepEqual(parseImage(formatImage(good), 'image.json'), good);
  const { emulator: _, ...bare } = good;
  assert.deepEqual(parseImage(formatImage(bare), 'image.json'), bare);
});

test("a build's description is also what the root says of itself, and more", () => {
  const { version, machine, image, buildId, keys } = good;
  const components = {
    'boot-firmware': { version: '2.12.1' },
    kernel: { version: '6.12.117' },
    root: { version: '0.1.0+01234567' },
  };
  const identity = { version, machine, image, buildId, keys, components };
  assert.deepEqual(parseImageIdentity(formatImage(good), 'image.json'), identity);
  assert.deepEqual(parseImageIdentity(formatImage(identity), 'image.json'), identity);
  assert.throws(() => parseImage(formatImage(identity), 'image.json'), { code: 'formats/bad-image' });
});

test('an image that does not say which keys signed it counts as signed by development keys', () => {
  assert.equal(parseImage(changed('keys', undefined), 'image.json').keys, 'development');
  assert.equal(parseImage(changed('keys', 'development'), 'image.json').keys, 'development');
});

test('what is wrong is named, with what to do', () => {
  for (const [path, value, message] of [
    ['version', 2, /"version" must be 1/],
    ['machine', '../up', /"machine"/],
    ['buildId', '0', /"buildId"/],
    ['keys', 'none', /"keys" must be/],
    ['keys', null, /"keys" must be/],
    ['components.kernel.version', 'a\nb', /"components\.kernel\.version"/],
    ['components.root.rootHash', '00', /"components\.root\.rootHash"/],
    ['flash.size', -1, /"flash\.size"/],
    ['flash.size', 99, /"u-boot" does not lie within the flash/],
    ['flash.parts.bl1', {}, /"flash\.parts\.bl1\.offset"/],
    ['disk.file', '../../etc/shadow', /"disk\.file"/],
    ['disk.file', 'a/b', /"disk\.file"/],
    ['disk.size', 5, /"boot_a" does not lie within the disk/],
    ['disk.sectorSize', 4096, /"disk\.sectorSize" must be 512/],
    ['disk.partitions', Array.from({ length: 129 }, () => good.disk.partitions[0]), /a list of at most 128/],
    ['fit', undefined, /"fit" must be an object/],
    ['emulator.binary', '/bin/sh', /"emulator\.binary"/],
    ['emulator.binary', 'qemu-system-arm/../../sh', /"emulator\.binary"/],
    ['emulator.secureConsole', 0, /two consoles/],
    ['emulator.disk', 'virtio-blk-device drive=x', /"emulator\.disk"/],
    ['emulator.args', 'text', /"emulator\.args"/],
  ] as const) {
    assert.throws(() => parseImage(changed(path, value), 'image.json'), {
      code: 'formats/bad-image',
      message,
      remedy: /mbl build/,
    });
  }
});

test('any text gives a description or our error', () => {
  const paths = [
    'version',
    'machine',
    'components',
    'flash',
    'flash.parts',
    'disk',
    'disk.partitions',
    'fit.parts',
    'root',
    'emulator',
  ];
  const near = fc
    .tuple(fc.constantFrom(...paths), fc.jsonValue())
    .map(([path, value]) => changed(path, value));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), near), (text) => {
      for (const parse of [parseImage, parseImageIdentity]) {
        try {
          parse(text, 'image.json');
        } catch (error) {
          assert.ok(error instanceof MblError && error.code === 'formats/bad-image', String(error));
        }
      }
    }),
  );
});
