// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inspect, inspectedSize } from './superblock.ts';
import { FakeDisk, partition } from './testing/fake-disk.ts';

test('a file system counts as made when it has its label, not before', async () => {
  using disk = new FakeDisk();
  const device = disk.device('config');
  const look = () => inspect(partition(device).subarray(0, inspectedSize), 'mbl-config').appearance;
  assert.equal(look(), 'blank');
  await disk.tool('mke2fs', '-q', '-F', '-t', 'ext4', device);
  assert.equal(look(), 'unfinished');
  await disk.tool('e2label', device, 'mbl-config');
  assert.equal(look(), 'made');
  await disk.tool('e2label', device, 'mbl-data');
  assert.equal(look(), 'damaged', 'that of another partition');
});

test('an error that the kernel noted is seen', async () => {
  using disk = new FakeDisk();
  const device = disk.device('data');
  await disk.tool('mke2fs', '-q', '-F', '-t', 'ext4', '-L', 'mbl-data', device);
  assert.equal(inspect(partition(device).subarray(0, inspectedSize), 'mbl-data').errors, false);
  await disk.tool('debugfs', '-w', '-R', 'ssv state 3', device);
  assert.equal(inspect(partition(device).subarray(0, inspectedSize), 'mbl-data').errors, true);
});

test('bytes of any kind are judged', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => {
      const { appearance } = inspect(bytes, 'mbl-config');
      assert.ok(appearance === (bytes.every((byte) => byte === 0) ? 'blank' : 'damaged'));
    }),
  );
});
