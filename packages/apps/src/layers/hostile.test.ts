// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { assert as assertProperty, asyncProperty, nat, uint8Array } from 'fast-check';
import { defaultLimits, type Limits } from '../limits.ts';
import { type RawEntry, rawTar } from '../testing/tar.ts';
import { layerOfBytes, listTree, unpackTars } from '../testing/unpack.ts';
import { decompress } from './decompress.ts';

const refused = async (
  entries: readonly RawEntry[],
  code: string,
  message: RegExp,
  limits: Partial<Limits> = {},
): Promise<void> => {
  await assert.rejects(unpackTars([rawTar(entries)], listTree, limits), (error: unknown) => {
    assert.ok(error instanceof MblError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
};

test('names that lead out of the image, or that no file can have, are refused', async () => {
  await refused([{ name: '../etc/passwd' }], 'apps/bad-image', /leads out/);
  await refused([{ name: 'a/../../b' }], 'apps/bad-image', /leads out/);
  await refused([{ name: 'a/..' }], 'apps/bad-image', /leads out/);
  await refused([{ name: 'x', pax: { path: 'a\0b' } }], 'apps/bad-image', /NUL/);
  await refused([{ name: 'x', pax: { path: Buffer.from([0x61, 0xff]) } }], 'apps/bad-image', /UTF-8/);
  await refused([{ name: 'n'.repeat(256) }], 'apps/bad-image', /too long/);
  await refused([{ name: 'n/'.repeat(2100) }], 'apps/bad-image', /too long/);
  await refused([{ name: `${'d/'.repeat(65)}x` }], 'apps/too-large', /folders deep/);
});

test('hard links that lead out, nowhere or to a folder are refused', async () => {
  await refused([{ name: 'a', kind: '1', link: '../../etc/shadow' }], 'apps/bad-image', /leads out/);
  await refused([{ name: 'a', kind: '1', link: '/etc/shadow' }], 'apps/bad-image', /not there/);
  await refused([{ name: 'd/' }, { name: 'a', kind: '1', link: 'd' }], 'apps/bad-image', /a folder/);
});

test('a link that leads in a circle ends, as does one of thousands of parts', async () => {
  const circle = [
    { name: 'a', kind: '2', link: 'b' },
    { name: 'b', kind: '2', link: 'a' },
  ];
  await refused([...circle, { name: 'a/x' }], 'apps/bad-image', /circle/);
  const long = { name: 'l', kind: '2', link: `${'./'.repeat(2000)}l` };
  await refused([long, { name: 'l/x' }], 'apps/bad-image', /circle/);
  await refused([{ name: 'f', data: '' }, { name: 'f/x' }], 'apps/bad-image', /no folder/);
  await refused([{ name: 'l', kind: '2', link: '' }], 'apps/bad-image', /no target/);
});

test('device nodes and named pipes are refused, but for those that a device never sees', async () => {
  for (const kind of ['3', '4', '6']) {
    for (const name of ['dev', 'sda', 'usr/dev/sda', 'device/sda'])
      await refused([{ name, kind }], 'apps/device-node', new RegExp(`/${name} is a`));
    const tar = rawTar([
      { name: 'dev/sda', kind, mode: 0o660 },
      { name: 'a', data: 'x' },
    ]);
    assert.deepEqual(await unpackTars([tar], listTree), ['a x', 'dev/', 'dev/sda ']);
  }
  await refused([{ name: 'x', kind: 'Z' }], 'apps/bad-image', /unknown type/);
});

test('whiteouts of nothing and of the folder itself are refused', async () => {
  for (const name of ['.wh.', 'd/.wh..', '.wh...'])
    await refused([{ name: 'd/' }, { name }], 'apps/bad-image', /names nothing/);
  await refused([{ name: '.wh.d/x' }], 'apps/bad-image', /below a whiteout/);
});

test('sizes that lie are found out before anything is made of them', async () => {
  await refused([{ name: 'a', data: 'x', size: 5000 }], 'apps/bad-image', /shorter than it says/);
  await refused([{ name: 'a', size: 8 ** 11 - 1 }], 'apps/too-large', /a file may have/);
  await refused([{ name: 'a', pax: { size: '99999999999999' } }], 'apps/too-large', /a file may have/);
  await refused([{ name: 'a', pax: { size: '-1' } }], 'apps/bad-image', /no number/);
  const base256 = Buffer.alloc(12, 0xff);
  await refused([{ name: 'a', patch: { 124: base256 } }], 'apps/bad-image', /too large/);
  await refused([{ name: 'x', kind: 'x', size: 2 << 20 }], 'apps/bad-image', /too long/);
});

test('sparse files cost what they say, not what they hold', async () => {
  const old = (real: string, ...numbers: string[]) => ({
    name: 's',
    kind: 'S',
    patch: { 386: numbers.map((one) => one.padStart(11, '0')).join('\0'), 483: real.padStart(11, '0') },
  });
  await refused([old('77777777777')], 'apps/too-large', /a file may have/);
  await refused([old('10', '0', '1000')], 'apps/bad-image', /sparse/);
  await refused([{ ...old('1000', '0', '10'), data: 'x' }], 'apps/bad-image', /sparse/);
  const pax = (map: string, size = '100') => ({ 'GNU.sparse.map': map, 'GNU.sparse.size': size });
  await refused([{ name: 's', pax: pax('0,5,3,5'), data: '0123456789' }], 'apps/bad-image', /sparse/);
  await refused([{ name: 's', pax: pax('0,5', '3'), data: '01234' }], 'apps/bad-image', /sparse/);
  await refused([{ name: 's', pax: pax('0,x') }], 'apps/bad-image', /sparse/);
  const newer = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '100' };
  await refused([{ name: 's', pax: newer, data: '999999999\n'.padEnd(512) }], 'apps/bad-image', /sparse/);
  await refused([{ name: 's', pax: newer, data: '9'.repeat(4096) }], 'apps/bad-image', /sparse/);
  await refused([{ name: 's', pax: newer, data: '2\n0\n' }], 'apps/bad-image', /sparse/);
});

test('an image may have so many files, bytes and names, over all its layers', async () => {
  const many = Array.from({ length: 11 }, (_, i) => ({ name: `f${i}`, data: '0123456789' }));
  await refused(many, 'apps/too-large', /more than 10 files/, { entries: 10 });
  await refused(many, 'apps/too-large', /more than 100 bytes/, { bytes: 100 });
  await refused(many, 'apps/too-large', /names/, { text: 20 });
  await refused(
    [{ name: 'f', pax: { 'SCHILY.xattr.user.a': 'x'.repeat(70_000) } }],
    'apps/bad-image',
    /extended/,
  );
  const split = many.map((one) => rawTar([one]));
  await assert.rejects(unpackTars(split, listTree, { bytes: 100 }), { code: 'apps/too-large' });
  await assert.rejects(unpackTars(split, listTree, { entries: 10 }), { code: 'apps/too-large' });
});

test('a layer that grows without end is stopped', async () => {
  const zeros = Buffer.alloc(4 << 20);
  const limits = { ...defaultLimits, ratioFrom: 1 << 20 };
  const run = async (bytes: Buffer) => {
    let size = 0;
    for await (const piece of decompress(layerOfBytes(bytes, 100_000).read(), limits)) size += piece.length;
    return size;
  };
  await assert.rejects(run(gzipSync(zeros)), { code: 'apps/too-large' });
  await assert.rejects(run(zstdCompressSync(zeros)), { code: 'apps/too-large' });
  assert.equal(await run(gzipSync(Buffer.alloc(1000))), 1000);
  await assert.rejects(run(gzipSync(randomBytes(9000)).subarray(0, 2000)), { code: 'apps/bad-image' });
  await assert.rejects(run(Buffer.from('1f8b0800000000000003ffff', 'hex')), { code: 'apps/bad-image' });
});

test('whatever the bytes, only our error comes out', async () => {
  const good = rawTar([
    { name: 'a/b', data: 'x'.repeat(700) },
    { name: 'n'.repeat(200), kind: '2', link: 'q' },
    { name: 'h', kind: '1', link: 'a/b' },
    { name: 's', pax: { 'GNU.sparse.map': '0,5', 'GNU.sparse.size': '9' }, data: '01234' },
  ]);
  const fine = async (bytes: Buffer) => {
    await unpackTars([bytes], listTree).catch((error: unknown) =>
      assert.ok(error instanceof MblError, String(error)),
    );
  };
  const bytes = uint8Array({ maxLength: 1500 });
  await assertProperty(
    asyncProperty(bytes, async (some) => await fine(Buffer.from(some))),
    { numRuns: 40 },
  );
  await assertProperty(
    asyncProperty(nat(good.length - 1), nat(255), nat(good.length), async (at, value, end) => {
      const changed = Buffer.from(good.subarray(0, end));
      if (at < changed.length) changed[at] = value;
      // A changed header gets its checksum right, so that what is behind the check is reached too.
      for (let start = 0; start + 512 <= changed.length; start += 512) {
        changed.fill(' ', start + 148, start + 156);
        const sum = changed.subarray(start, start + 512).reduce((a, b) => a + b, 0);
        changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1');
      }
      await fine(changed);
    }),
    { numRuns: 200 },
  );
});
