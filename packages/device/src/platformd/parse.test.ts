// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { parseMemory, parseNetwork } from './interface.ts';
import { parseMemoryInformation, parseRoutes } from './parse.ts';

test('meminfo in bytes', () => {
  const text = 'MemTotal:         996156 kB\nMemFree:          700000 kB\nMemAvailable:     801234 kB\n';
  assert.deepEqual(parseMemoryInformation(text), { total: 996156 * 1024, available: 801234 * 1024 });
  assert.deepEqual(parseMemoryInformation(''), { total: 0, available: 0 });
});

test('gateways of default routes only', () => {
  const text = [
    'Iface\tDestination\tGateway \tFlags',
    'eth0\t00000000\t0202000A\t0003',
    'eth0\t0002000A\t00000000\t0001',
    'eth1\t00000000\t0202000A\t0003',
    'eth2\t00000000\t00000000\t0001',
  ].join('\n');
  assert.deepEqual(parseRoutes(text), ['10.0.2.2']);
});

test('what comes over the bus is checked', () => {
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true });
  fc.assert(
    fc.property(anything, (value) => {
      for (const parse of [parseMemory, parseNetwork]) {
        try {
          parse(value);
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      }
    }),
  );
  assert.throws(() => parseNetwork([[['eth0', 'magic', []]], []]), { code: 'device/platform-malformed' });
});
