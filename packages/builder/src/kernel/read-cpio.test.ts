// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { buildCpio } from './cpio.ts';
import { readCpio } from './read-cpio.ts';

const first = buildCpio([
  { path: 'bin', type: 'directory' },
  { path: 'bin/busybox', type: 'file', data: Buffer.from('busy'), executable: true },
  { path: 'bin/sh', type: 'symlink', target: 'busybox' },
]);
const second = buildCpio([{ path: 'init', type: 'file', data: Buffer.from('#!/bin/sh\n') }]);
const archive = Buffer.concat([first, Buffer.alloc(512), second]);

test('archives behind each other give all of their entries', () => {
  assert.deepEqual(
    readCpio(archive).map(({ path, mode, data }) => [path, mode.toString(8), Buffer.from(data).toString()]),
    [
      ['bin', '40755', ''],
      ['bin/busybox', '100755', 'busy'],
      ['bin/sh', '120777', 'busybox'],
      ['init', '100644', '#!/bin/sh\n'],
    ],
  );
});

test('bytes of any origin are read or refused', () => {
  fc.assert(
    fc.property(fc.nat(archive.length - 1), fc.nat(255), fc.nat(archive.length), (at, value, length) => {
      const damaged = Buffer.from(archive).subarray(0, length);
      if (at < length) damaged[at] = value;
      try {
        readCpio(damaged);
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'builder/bad-archive', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
