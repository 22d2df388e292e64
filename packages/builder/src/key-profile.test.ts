// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { refuseDeclaredLogin, signAfter } from './key-profile.ts';
import type { Image } from './recipes/image.ts';
import type { Machine } from './recipes/machine.ts';
import { loadRecipes } from './recipes/recipes.ts';
import type { Task } from './task.ts';

const osDirectory = resolve(import.meta.dirname, '../../../os');
const folder = mkdtempSync(join(tmpdir(), 'mbl-profile-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let machine: Machine;
let image: Image;
before(async () => {
  const workspace = await loadRecipes({ osDirectory, layers: [] });
  machine = workspace.machine('qemu-arm64');
  image = workspace.image('production');
});

const refused = (reason: RegExp) => (error: unknown) => {
  assert.ok(
    error instanceof Error && 'code' in error && error.code === 'builder/login-refused',
    String(error),
  );
  assert.match(error.message, reason);
  return true;
};

test('production recipes pass, those of development do not', async () => {
  await refuseDeclaredLogin(machine, image);
  const development = (await loadRecipes({ osDirectory, layers: [] })).image('development');
  await assert.rejects(
    refuseDeclaredLogin(machine, development),
    refused(/login: \{ console: getty \}\n.*login: \{ ssh: key \}/),
  );
});

test('kernel arguments that open the device are refused, of the image and of the machine', async () => {
  const opening = [
    ...['init=/bin/sh', 'rdinit=/bin/sh', 'single', 'S', '1', 'rescue', 'emergency', '-b', 'kgdboc=ttyAMA0'],
    ...[
      'systemd.debug_shell',
      'systemd.debug-shell=ttyAMA0',
      'systemd.unit=rescue.target',
      'systemd.run=/bin/sh',
    ],
    ...['systemd.wants=debug-shell.service', 'systemd.set_credential=passwd.plaintext-password.root:x'],
    ...['systemd.set-credential-binary=a:b', 'systemd.crash_shell', 'systemd.setenv=SYSTEMD_SULOGIN_FORCE=1'],
    'quiet\\x20single',
  ];
  for (const word of opening) {
    const named = new RegExp(word.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    await assert.rejects(
      refuseDeclaredLogin(machine, { ...image, kernelArguments: [word] }),
      refused(named),
      word,
    );
    const kernel = { ...machine.kernel, arguments: [word] };
    await assert.rejects(refuseDeclaredLogin({ ...machine, kernel }, image), refused(named), word);
  }
  const harmless = [
    'quiet',
    'console=ttyAMA0',
    'systemd.log_level=debug',
    'rootwait',
    'init_on_alloc=1',
    'panic=1',
  ];
  await refuseDeclaredLogin(machine, { ...image, kernelArguments: harmless });
});

test('a U-Boot that reads keys, or takes kernel arguments from its environment, is refused', async () => {
  const source = join(osDirectory, 'firmware/u-boot');
  const attempt = async (more: string, environment: (text: string) => string): Promise<void> => {
    const place = mkdtempSync(join(folder, 'u-boot-'));
    cpSync(source, place, { recursive: true });
    writeFileSync(join(place, 'more.config'), more);
    writeFileSync(join(place, 'mbl.env'), environment(readFileSync(join(place, 'mbl.env'), 'utf8')));
    const config = [join(place, 'qemu-arm64.config'), join(place, 'more.config')];
    const firmware = { ...machine.firmware, uBoot: { ...machine.firmware.uBoot, config } };
    await refuseDeclaredLogin({ ...machine, firmware }, image);
  };
  const same = (text: string): string => text;
  await attempt('', same);
  await assert.rejects(attempt('CONFIG_ENV_IS_IN_FLASH=y\n', same), refused(/unsigned environment.*FLASH/));
  await assert.rejects(attempt('# CONFIG_SYS_CONSOLE_IS_IN_ENV is not set\n', same), refused(/stdin/));
  await assert.rejects(
    attempt('CONFIG_BOOTDELAY=3\n', (text) => text.replace('bootdelay=-2\n', '')),
    refused(/boot delay is 3/),
  );
  await assert.rejects(
    attempt('', (text) => text.replace('bootdelay=-2', 'bootdelay=0')),
    refused(/boot delay is 0/),
  );
  await assert.rejects(
    attempt('', (text) => text.replace('stdin=nulldev', 'stdin=serial')),
    refused(/stdin/),
  );
  await assert.rejects(
    attempt('', (text) => `${text}bootargs=init=/bin/sh\n`),
    refused(/bootargs/),
  );
});

test('every task that uses a private key waits for the check, and no other', () => {
  const task = (name: string, needs?: string[]): Task => ({
    name,
    title: name,
    code: import.meta.filename,
    inputs: {},
    ...(needs && { needs }),
    run: async () => {},
  });
  const tasks = signAfter(task('login-check'), [
    ...[task('u-boot'), task('flash', ['u-boot']), task('trusted-applications'), task('fit', ['root'])],
    task('root', ['trusted-applications']),
  ]);
  assert.deepEqual(
    tasks.map(({ name, needs = [] }) => [name, ...needs]),
    [
      ['login-check'],
      ['u-boot'],
      ['flash', 'login-check', 'u-boot'],
      ['trusted-applications', 'login-check'],
      ['fit', 'login-check', 'root'],
      ['root', 'trusted-applications'],
    ],
  );
});
