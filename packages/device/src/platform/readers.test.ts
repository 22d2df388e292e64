// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { kernelVersion } from './components.ts';
import { platformContract } from './contract.ts';
import { parseMemoryInformation } from './memory.ts';
import { type Method, readFromBus } from './method.ts';
import { parseRoutes } from './network.ts';

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
  const shapes = Object.values<Method>(platformContract).flatMap(({ args, result }) => [
    ...Object.values(args),
    ...(result === undefined ? [] : [result]),
  ]);
  assert.ok(shapes.length > 3);
  fc.assert(
    fc.property(anything, (value) => {
      for (const shape of shapes) {
        try {
          readFromBus('it', () => shape.fromBus(value));
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
        }
      }
    }),
  );
  const { result } = platformContract.GetNetwork;
  const read = (value: unknown) => readFromBus('it', () => result?.fromBus(value));
  assert.deepEqual(read([[['eth0', 'ethernet', ['::1']]], ['::2']]), {
    interfaces: [{ name: 'eth0', kind: 'ethernet', addresses: ['::1'] }],
    routers: ['::2'],
  });
  for (const wrong of [
    [[['eth0', 'magic', []]], []],
    [[['eth0', 'wifi', []]]],
    [[], Array.from({ length: 257 }, () => '::1')],
    [[], ['x'.repeat(4097)]],
  ]) {
    assert.throws(() => read(wrong), { code: 'device/platform-malformed' });
  }
  assert.throws(() => readFromBus('it', () => platformContract.GetMemory.result?.fromBus([2n ** 53n, 1n])), {
    code: 'device/platform-malformed',
  });
});

test('the signatures are those that were agreed on', () => {
  const signatures = Object.entries<Method>(platformContract).map(([name, { args, result }]) => [
    name,
    Object.values(args)
      .map(({ signature }) => signature)
      .join(''),
    result?.signature ?? '',
  ]);
  assert.deepEqual(signatures, [
    ['Reboot', '', ''],
    ['GetMemory', '', '(tt)'],
    ['GetNetwork', '', '(a(ssas)as)'],
    ['GetBoot', '', '(su)'],
    ['GetIncidents', '', 'a(sss)'],
    ['ForgetIncidents', 'as', ''],
    ['GetComponents', '', '(sssss)'],
    ['GetUpdate', '', '(ssss)'],
    ['CheckRelease', 'sa(ss)', '(ssssa(ssststss(stts)(st)(st)))'],
    ['VerifySlot', '', 's'],
    ['StartTrial', '', ''],
    ['SetDesiredApps', 's', ''],
    ['GetApps', '', 's'],
    ['CheckAppRelease', 'ssa(ss)', '(ssssa(ssststss(stts)(st)(st)))'],
    ['InstallAppRelease', 'ss', ''],
    ['AskApp', 's', ''],
    ['GetAppAnswers', '', 'as'],
  ]);
});

test('the version of a kernel is that of its package', () => {
  assert.equal(kernelVersion('#1 SMP Debian 6.12.118-1 (2026-11-20)'), '6.12.118-1');
  assert.equal(kernelVersion('#1 SMP PREEMPT_DYNAMIC'), undefined);
});
