// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { type EmulatorSettings, emulatorArguments } from './emulator-arguments.ts';
import { parseImage, readImage } from './image.ts';
import { makeBareBuild } from './testing/bare-guest.ts';

let work = '';
let text = '';

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-image-'));
  text = await readFile(join(await makeBareBuild(work), 'image.json'), 'utf8');
});

after(async () => await rm(work, { recursive: true, force: true }));

test('an image says what the lab needs of it', async () => {
  const image = await readImage(work);
  assert.equal(image.emulator.binary, 'qemu-system-aarch64');
  assert.equal(image.disk.partitions[2]?.name, 'factory');
});

test('a folder without an image is named, with what to do', async () => {
  await assert.rejects(readImage(join(work, 'nowhere')), (error: MblError) => {
    assert.equal(error.code, 'lab/unknown-image');
    assert.match(error.remedy ?? '', /mbl build/);
    return true;
  });
});

test('what cannot be run is refused', () => {
  const broken = (change: (image: Record<string, Record<string, unknown>>) => void): string => {
    const image = JSON.parse(text) as Record<string, Record<string, unknown>>;
    change(image);
    return JSON.stringify(image);
  };
  const changes: ((image: Record<string, Record<string, unknown>>) => void)[] = [
    (image) => Object.assign(image.emulator ?? {}, { binary: '/bin/sh' }),
    (image) => Object.assign(image.emulator ?? {}, { secureConsole: 0 }),
    (image) => Object.assign(image.disk ?? {}, { file: '../../etc/shadow' }),
    (image) => Object.assign(image.disk ?? {}, { size: 5 }),
    (image) => Object.assign(image.flash ?? {}, { size: -1 }),
    (image) => Object.assign(image, { version: 2 }),
    (image) => delete image.fit,
  ];
  for (const change of changes)
    assert.throws(() => parseImage(broken(change)), { code: 'lab/image-invalid' });
});

test('no JSON makes the parser throw anything but its error', () => {
  const paths = ['flash', 'disk', 'fit', 'root', 'emulator', 'machine', 'version'];
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), fc.string(), (path, value, noise) => {
      for (const candidate of [noise, JSON.stringify({ ...JSON.parse(text), [path]: value })]) {
        try {
          parseImage(candidate);
        } catch (error) {
          assert.ok(error instanceof MblError && error.code === 'lab/image-invalid', String(error));
        }
      }
    }),
  );
});

test('the consoles take the places that the image gives them', () => {
  const settings: EmulatorSettings = {
    flash: '/b/flash.bin',
    disk: '/b/disk,1.img',
    runDirectory: '/tmp/mbl-abcdef',
    forwards: [{ guest: 22, host: 0 }],
    clock: '1970',
  };
  const image = parseImage(text);
  const swapped = { ...image, emulator: { ...image.emulator, serialConsole: 1, secureConsole: 0 } };
  const serials = (args: string[]): string[] => args.filter((_, index) => args[index - 1] === '-serial');
  assert.deepEqual(serials(emulatorArguments(image, settings)), ['chardev:uart0', 'chardev:uart1']);
  assert.deepEqual(serials(emulatorArguments(swapped, settings)), ['chardev:uart1', 'chardev:uart0']);
  const args = emulatorArguments(image, settings).join(' ');
  assert.match(args, /hostfwd=tcp:127\.0\.0\.1:0-:22/);
  assert.match(args, /-rtc base=1970-01-01/);
  assert.match(args, /"filename":"\/b\/disk,1\.img"/, 'a comma in a path is no separator');
});
