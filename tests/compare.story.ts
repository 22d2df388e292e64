// SPDX-License-Identifier: Apache-2.0
//
// Somebody builds a release a second time, with keys of his own, and asks whether it is the same; then one file of it is changed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdir, open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { ImageComparison } from '@mbl/builder';
import { findWorkspace } from '@mbl/cli';
import { type ImageDescription, readImage } from '@mbl/formats';
import { assertError, mbl, temporaryFolder } from './support/mbl.ts';
import { copyWorkingCopy } from './support/working-copy.ts';
import { imageOf } from './support/world.ts';

const run = promisify(execFile);
const limit = 1_800_000;
/** A file of the root file system, below `os/rootfs/base`. */
const changedFile = 'etc/hosts';

describe('a comparison of images', { timeout: limit }, () => {
  const stack = new AsyncDisposableStack();
  let folder = '';
  let first = '';
  let second = '';
  let changed = '';

  before(async () => {
    ({ path: folder } = stack.use(await temporaryFolder()));
    first = await imageOf('development');
    const copy = join(folder, 'copy');
    await copyWorkingCopy(copy);
    const environment: NodeJS.ProcessEnv = { ...process.env, MBL_CACHE: findWorkspace().cache };
    delete environment['MBL_STATE'];
    // There are no keys in the copy: the build makes its own.
    const build = async (): Promise<string> => {
      const command = ['packages/cli/src/main.ts', 'build', '--json'];
      const options = { cwd: copy, env: environment, timeout: limit };
      const { stdout } = await run(join(copy, 'node_modules/.bin/node'), command, options);
      return (JSON.parse(stdout) as { directory: string }).directory;
    };
    second = await keep(await build(), join(folder, 'second'));
    await appendFile(join(copy, 'os/rootfs/base', changedFile), '# changed\n');
    changed = await keep(await build(), join(folder, 'changed'));
  });
  after(async () => await stack.disposeAsync());

  async function keep(image: string, target: string): Promise<string> {
    await run('cp', ['-a', '--sparse=always', image, target]);
    return target;
  }

  async function compare(a: string, b: string): Promise<ImageComparison & { readonly code: number | null }> {
    const { code, stdout, stderr } = await mbl(['image', 'compare', a, b, '--json'], { timeout: 300_000 });
    assert.equal(stderr, '');
    return { ...(JSON.parse(stdout) as ImageComparison), code };
  }

  function content({ differences }: ImageComparison): string[] {
    return differences
      .filter(({ kind }) => kind !== 'signature')
      .map(({ place, aspect }) => `${place} ${aspect}`);
  }

  test('finds an image identical to itself', async () => {
    assert.deepEqual(await compare(first, first), {
      ...{ verdict: 'identical', keys: [], differences: [], code: 0 },
    });
  });

  test("finds a second builder's image the same but signatures", async () => {
    const comparison = await compare(first, second);
    assert.deepEqual(content(comparison), []);
    assert.equal(comparison.verdict, 'signatures');
    assert.equal(comparison.code, 0);
    for (const key of ['tb-fw-cert', 'nt-fw-cert', 'fit', 'ta'])
      assert.ok(comparison.keys.includes(key), key);
    const { code, stdout } = await mbl(['image', 'compare', first, second], { timeout: 300_000 });
    assert.equal(code, 0);
    assert.match(stdout, /^same but signatures\nsigned by other keys: .*\bfit\b/);
  });

  test('names the one file that is changed, whoever signed it', async () => {
    const file = ['content', 'size'].map((aspect) => `root/${changedFile} ${aspect}`);
    const foreign = await compare(first, changed);
    assert.deepEqual(content(foreign), file);
    assert.deepEqual([foreign.verdict, foreign.code], ['different', 1]);
    // The same keys: the identity of the build must be the same too, and is not.
    const own = await compare(second, changed);
    assert.deepEqual(own.keys, []);
    assert.deepEqual(content(own), [
      ...['buildId', 'components.root.version'].map((aspect) => `image.json ${aspect}`),
      ...file,
      'root/etc/mbl/image.json content',
    ]);
    assert.equal(own.code, 1);
  });

  test('names what is changed outside of the root', async () => {
    const copy = await keep(first, join(folder, 'damaged'));
    const image = await describeImage(copy);
    const uBoot = image.flash.parts['u-boot'];
    const config = image.disk.partitions.find(({ name }) => name === 'config');
    assert.ok(uBoot !== undefined && config !== undefined);
    await poke(join(copy, 'flash.bin'), uBoot.offset + 1000);
    await poke(join(copy, 'disk.img'), config.offset + config.size - 1);
    assert.deepEqual(content(await compare(first, copy)), [
      'disk/config content',
      'flash/nt-fw-cert extension 2 (1.3.6.1.4.1.4128.2100.1201)',
      'flash/u-boot content',
      'image.json components.boot-firmware.sha256',
    ]);
  });

  test('refuses what is no image', async () => {
    const empty = join(folder, 'empty');
    await mkdir(empty);
    assertError(await mbl(['image', 'compare', first, empty]), 'builder/no-image', /There is no image in/);
    const copy = await keep(first, join(folder, 'broken'));
    const image = await describeImage(copy);
    const slot = image.disk.partitions.find(({ name }) => name === 'root_a');
    assert.ok(slot !== undefined);
    await using disk = await open(join(copy, 'disk.img'), 'r+');
    await disk.write(Buffer.alloc(4096), 0, 4096, slot.offset);
    assertError(await mbl(['image', 'compare', first, copy]), 'builder/bad-erofs', /superblock/);
    await truncate(join(copy, 'disk.img'), image.disk.size - 512);
    assertError(
      await mbl(['image', 'compare', copy, first]),
      'builder/bad-image-file',
      /disk\.img has \d+ bytes/,
    );
  });
});

async function describeImage(directory: string): Promise<ImageDescription> {
  const image = await readImage(directory);
  assert.ok(image !== undefined);
  return image;
}

/** Changes one byte. */
async function poke(path: string, offset: number): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 1), 0, 1, offset);
}
