// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { findNode, propertyOf, readDeviceTreeBlob } from './device-tree-blob.ts';

function compile(source: string): Buffer {
  return execFileSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb'], { input: source });
}

const blob = compile(`/dts-v1/;
/memreserve/ 0x40000000 0x1000;
/ {
  model = "board";
  empty;
  images { kernel { data = [01 02 03 04 05]; hash-1 { algo = "sha256"; }; }; };
  last { cells = <1 2>; };
};`);

test('nodes and properties are those of the source', () => {
  const { root, size } = readDeviceTreeBlob(Buffer.concat([blob, Buffer.from('behind it')]));
  assert.equal(size, blob.length);
  assert.deepEqual(
    root.children.map(({ name }) => name),
    ['images', 'last'],
  );
  const text = (path: string, name: string) =>
    Buffer.from(propertyOf(findNode(root, path), name) ?? []).toString('hex');
  assert.equal(text('/images/kernel', 'data'), '0102030405');
  assert.equal(text('/images/kernel/hash-1', 'algo'), Buffer.from('sha256\0').toString('hex'));
  assert.equal(text('/last', 'cells'), '0000000100000002');
  assert.equal(propertyOf(root, 'empty')?.length, 0);
  assert.equal(findNode(root, '/images/initramfs'), undefined);
});

test('a tree that is too deep is refused', () => {
  const deep = (levels: number): Buffer =>
    compile(`/dts-v1/; / { ${'n { '.repeat(levels)}${'}; '.repeat(levels)} };`);
  assert.doesNotThrow(() => readDeviceTreeBlob(deep(31)));
  assert.throws(() => readDeviceTreeBlob(deep(32)), { code: 'builder/bad-device-tree' });
});

test('bytes of any origin are read or refused', () => {
  fc.assert(
    fc.property(fc.nat(blob.length - 1), fc.nat(255), fc.nat(blob.length), (at, value, length) => {
      const damaged = Buffer.from(blob).subarray(0, Math.max(length, at));
      if (at < damaged.length) damaged[at] = value;
      try {
        readDeviceTreeBlob(damaged);
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'builder/bad-device-tree', String(error));
      }
    }),
    { numRuns: 3000 },
  );
});
