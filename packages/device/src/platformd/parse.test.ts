// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { TemporaryFolder } from '../testing/support.ts';
import { parseMemory, parseNetwork, parseStrings } from './interface.ts';
import { parseMemoryInformation, parseRoutes, parseVerityUuid } from './parse.ts';
import { readSystem } from './system.ts';

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

test('the root hash is in the uuid of the verity device', () => {
  const hash = 'ab'.repeat(32);
  assert.equal(parseVerityUuid(`VERITY-${hash}\n`), hash);
  assert.equal(parseVerityUuid('CRYPT-VERITY-1234-root'), undefined);
});

test('the running root and its slot are found below /sys', async () => {
  using folder = new TemporaryFolder();
  const block = join(folder.path, 'sys/class/block');
  for (const [device, name] of [
    ['dm-0', 'other'],
    ['dm-1', 'root'],
  ] as const) {
    mkdirSync(join(block, device, 'dm'), { recursive: true });
    writeFileSync(join(block, device, 'dm/name'), `${name}\n`);
    writeFileSync(join(block, device, 'dm/uuid'), `VERITY-${'cd'.repeat(32)}\n`);
    mkdirSync(join(block, device, 'slaves'));
  }
  mkdirSync(join(block, 'vda3'));
  writeFileSync(join(block, 'vda3/uevent'), 'DEVNAME=vda3\nPARTN=3\nPARTNAME=root_a\n');
  symlinkSync(join(block, 'vda3'), join(block, 'dm-1/slaves/vda3'));
  const system = readSystem({ root: folder.path, rebootFile: '/nowhere' });
  assert.deepEqual(await system.components(), { root: 'cd'.repeat(32), slot: 'root_a' });
  assert.deepEqual(await readSystem({ root: '/nowhere', rebootFile: '/nowhere' }).components(), {});
});

test('what comes over the bus is checked', () => {
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true });
  fc.assert(
    fc.property(anything, (value) => {
      for (const parse of [parseMemory, parseNetwork, parseStrings]) {
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
