// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { buildFip, findFip, readFip } from './fip.ts';

const { bytes, parts } = buildFip({
  bl2: Buffer.from('second'),
  'bl32-extra2': Buffer.alloc(0),
  bl33: Buffer.from('u-boot'),
  'tb-fw-cert': Buffer.from('certificate'),
});

test('a package gives back where its images stand', () => {
  assert.deepEqual(new Map(readFip(bytes)), new Map(parts));
  const { offset = 0, size = 0 } = readFip(bytes).get('bl33') ?? {};
  assert.equal(bytes.toString('utf8', offset, offset + size), 'u-boot');
});

test('a package is found behind BL1', () => {
  const flash = Buffer.concat([Buffer.alloc(8192, 0xff), bytes]);
  assert.equal(findFip(flash, 5000), 8192);
  assert.throws(() => findFip(flash, 8193), { code: 'builder/bad-fip' });
});

test('bytes of any origin are read or refused', () => {
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, length) => {
      const damaged = Buffer.from(bytes).subarray(0, Math.max(length, at));
      if (at < damaged.length) damaged[at] = value;
      try {
        for (const { offset, size } of readFip(damaged).values()) assert.ok(offset + size <= damaged.length);
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'builder/bad-fip', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
