// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { formatImage } from '@mbl/formats';
import { type EmulatorSettings, emulatorArguments } from './emulator-arguments.ts';
import { type BoardImage, readBoardImage } from './image.ts';
import { makeBareBuild } from './testing/bare-guest.ts';

let work = '';
let image: BoardImage;

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-image-'));
  image = await readBoardImage(await makeBareBuild(work));
});

after(async () => await rm(work, { recursive: true, force: true }));

test('a folder without an image, and an image that no emulator runs, are named, with what to do', async () => {
  await assert.rejects(readBoardImage(join(work, 'nowhere')), {
    code: 'lab/unknown-image',
    remedy: /mbl build/,
  });
  const { emulator: _, ...rest } = image;
  const folder = join(work, 'no-emulator');
  await mkdir(folder);
  await writeFile(join(folder, 'image.json'), formatImage(rest));
  await assert.rejects(readBoardImage(folder), { code: 'lab/no-emulator', remedy: /machine bare/ });
});

test('the consoles take the places that the image gives them', () => {
  const settings: EmulatorSettings = {
    flash: '/b/flash.bin',
    disk: '/b/disk,1.img',
    runDirectory: '/tmp/mbl-abcdef',
    forwards: [{ guest: 22, host: 0 }],
    clock: '1970',
  };
  const swapped = { ...image, emulator: { ...image.emulator, serialConsole: 1, secureConsole: 0 } };
  const serials = (args: string[]): string[] => args.filter((_, index) => args[index - 1] === '-serial');
  assert.deepEqual(serials(emulatorArguments(image, settings)), ['chardev:uart0', 'chardev:uart1']);
  assert.deepEqual(serials(emulatorArguments(swapped, settings)), ['chardev:uart1', 'chardev:uart0']);
  const args = emulatorArguments(image, settings).join(' ');
  assert.match(args, /hostfwd=tcp:127\.0\.0\.1:0-:22/);
  assert.match(args, /-rtc base=1970-01-01/);
  assert.match(args, /"filename":"\/b\/disk,1\.img"/, 'a comma in a path is no separator');
  assert.match(args, / -device virtio-blk-device,drive=board-disk,id=disk0 /, 'where the image says');
  const added = { ...settings, disks: [{ file: '/b/stick.img', device: 'virtio-blk-device,bus=x' }] };
  const more = emulatorArguments(image, added).join(' ');
  assert.match(more, /"filename":"\/b\/stick\.img"\}\} -device virtio-blk-device,bus=x,drive=extra0 /);
  const stick = { folder: '/b/stick', label: 'MBL-RELEASE', device: 'virtio-blk-device,bus=y' };
  const shown = emulatorArguments(image, { ...settings, disks: [stick] }).join(' ');
  assert.match(shown, /"vvfat".*"read-only":true,"dir":"\/b\/stick","label":"MBL-RELEASE"\} -device .*bus=y/);
});
