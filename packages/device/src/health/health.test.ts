// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type BootState, bootStateOffsets, chooseBootState, formatBootState } from '@mbl/formats';
import { runProgram } from '../common/run.ts';
import { TrialStore } from '../slots/trial.ts';
import { FakeBanks } from '../testing/fake-banks.ts';
import { hasNetwork, type Run } from './health.ts';
import { judgeTrial, type VerdictOptions } from './main.ts';

const started: BootState = { sequence: 5, first: 'b', tried: 'b', attempts: { a: 0, b: 1 } };

/** The root hash of the version that is on trial. */
const judged = 'cd'.repeat(32);

/** A board that runs slot b on trial, where all is well. */
async function board(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-health-'));
  t.after(() => rm(folder, { recursive: true }));
  const at = (name: string) => join(folder, name);
  await mkdir(at('update'));
  await mkdir(at('checks'));
  const state = Buffer.alloc(8192);
  state.set(formatBootState(started), bootStateOffsets[0]);
  await writeFile(at('state'), state);
  await writeFile(at('boot'), 'slot=b\nattempts=1\n');
  await writeFile(at('registered'), '');
  await writeFile(at('root.json'), '');
  const store = new TrialStore(at('update'));
  await store.beginTrial({ slot: 'b', release: '1.1', rollbackIndex: 0, rootHash: judged });
  await mkdir(at('sys/class/block/dm-0/dm'), { recursive: true });
  await writeFile(at('sys/class/block/dm-0/dm/uuid'), `VERITY-${judged}\n`);
  const run: Run = async (command, args, deadline) =>
    command === 'systemctl' ? { code: 0, said: '' } : await runProgram(command, args, deadline);
  const said: string[] = [];
  const options: VerdictOptions = {
    update: at('update'),
    boot: at('boot'),
    state: at('state'),
    root: folder,
    registered: at('registered'),
    online: () => true,
    orders: at('orders'),
    releaseRoot: at('root.json'),
    checks: at('checks'),
    limitMs: 50,
    pauseMs: 10,
    run,
    banks: new FakeBanks(),
    say: (line) => said.push(line),
  };
  return {
    at,
    store,
    said,
    options,
    first: async () => chooseBootState(await readFile(at('state'))).state.first,
  };
}

test('a healthy trial is left to be confirmed', async (t) => {
  const { options, at, first, store } = await board(t);
  await writeFile(at('checks/10-good'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  assert.equal(await judgeTrial(options), true);
  assert.equal(await first(), 'b');
  assert.equal(await store.failure(), undefined);
});

test("an app that failed is its team's business, whatever other unit failed is the system's", async (t) => {
  const { options, first } = await board(t);
  const apps = ['mbl-app-health-sensor', 'mbl-app-sensor'];
  const failed = (...units: readonly string[]): Run => {
    const lines = units.map((unit) => `${unit}.service loaded failed failed An app`);
    return async (_command, args) =>
      args.includes('--failed')
        ? { code: 0, said: lines.at(-1) ?? '', all: `${lines.join('\n')}\n` }
        : { code: 0, said: '' };
  };
  assert.equal(await judgeTrial({ ...options, run: failed(...apps) }), true);
  assert.equal(await first(), 'b');
  assert.equal(await judgeTrial({ ...options, run: failed('mbl-apps', ...apps) }), false);
  assert.equal(await first(), 'a');
});

const faults: Record<
  string,
  { reason: RegExp; fault: (at: (name: string) => string) => Promise<Partial<VerdictOptions>> }
> = {
  'another version than the one that was judged': {
    reason: /another version than the 1\.1 that was judged$/,
    fault: async (at) => {
      await writeFile(at('sys/class/block/dm-0/dm/uuid'), `VERITY-${'ab'.repeat(32)}\n`);
      return {};
    },
  },
  'a unit that failed': {
    reason: /^a unit failed: product\.service$/,
    fault: async () => ({
      run: async () => ({ code: 0, said: 'product.service loaded failed failed A product' }),
    }),
  },
  'an image that takes no releases': {
    reason: /no root for releases/,
    fault: async (at) => {
      await rm(at('root.json'));
      return {};
    },
  },
  'a system that does not start to its end': {
    reason: /has not started to its end/,
    fault: async () => ({
      run: async (_command, args) => ({ code: args.includes('is-active') ? 3 : 0, said: '' }),
    }),
  },
  'a kernel with the root of the other slot': {
    reason: /runs with the root of slot a/,
    fault: async (at) => {
      await writeFile(at('boot'), 'slot=a\nattempts=1\n');
      return {};
    },
  },
  'no registration': {
    reason: /not registered with its service, or its platform service does not answer/,
    fault: async (at) => {
      await rm(at('registered'));
      return {};
    },
  },
  'a client that ends again and again': {
    reason: /not registered with its service: its client ended 7 times$/,
    fault: async (at) => {
      await rm(at('registered'));
      return { run: async (_command, args) => ({ code: 0, said: args.includes('show') ? '7' : '' }) };
    },
  },
  'a board without a network': {
    reason: /not registered with its service: it has no network$/,
    fault: async (at) => {
      await rm(at('registered'));
      return { online: () => false };
    },
  },
  "a product's check that is not content": {
    reason: /^the check 20-bad ended with 3: no sensor answers$/,
    fault: async (at) => {
      await writeFile(at('checks/20-bad'), '#!/bin/sh\necho no sensor answers\nexit 3\n', { mode: 0o755 });
      return {};
    },
  },
  'a check that cannot be started': {
    reason: /^the check 20-bad did not end/,
    fault: async (at) => {
      await writeFile(at('checks/20-bad'), 'no program', { mode: 0o644 });
      return {};
    },
  },
};

for (const [title, { fault, reason }] of Object.entries(faults)) {
  test(`${title} sends the board back, with the reason`, async (t) => {
    const { options, at, first, store } = await board(t);
    assert.equal(await judgeTrial({ ...options, ...(await fault(at)) }), false);
    assert.equal(await first(), 'a');
    assert.match((await store.failure()) ?? '', reason);
  });
}

test('a configuration partition that is full loses the reason, and not the way back', async (t) => {
  const { options, at, first, said } = await board(t);
  await rm(at('registered'));
  // Whatever is written there finds no space (full(4)).
  await symlink('/dev/full', at('update/.failure.json.new'));
  assert.equal(await judgeTrial(options), false);
  assert.equal(await first(), 'a');
  assert.match(said.join('\n'), /the reason cannot be kept: .*ENOSPC/);
});

test('an address that only the board itself or its cable knows is no network', () => {
  const one = (address: string, internal: boolean) =>
    ({ address, internal, family: 'IPv4', netmask: '', mac: '', cidr: null }) as const;
  assert.ok(!hasNetwork({ lo: [one('127.0.0.1', true)], eth0: [one('169.254.7.1', false)] }));
  assert.ok(hasNetwork({ lo: [one('127.0.0.1', true)], eth0: [one('10.0.2.15', false)] }));
});

test('a version that was ordered by hand while nothing was registered needs a client that takes the next order', async (t) => {
  const { options, at, store } = await board(t);
  await rm(at('registered'));
  const trial = {
    slot: 'b',
    release: '1.1',
    rollbackIndex: 0,
    rootHash: judged,
    unregistered: true,
  } as const;
  await store.beginTrial(trial);
  assert.equal(await judgeTrial(options), false);
  assert.match((await store.failure()) ?? '', /takes no orders at the board/);
  const state = Buffer.alloc(8192);
  state.set(formatBootState(started), bootStateOffsets[0]);
  await writeFile(at('state'), state);
  await store.beginTrial(trial);
  await writeFile(at('orders'), '');
  assert.equal(await judgeTrial(options), true);
});

test('what becomes well within the limit is healthy', async (t) => {
  const { options, at } = await board(t);
  await rm(at('registered'));
  setTimeout(() => void writeFile(at('registered'), ''), 50);
  assert.equal(await judgeTrial({ ...options, limitMs: 60_000 }), true);
});

test('the slot that ran before is not judged, nor one that nobody put on trial', async (t) => {
  const { options, at, store } = await board(t);
  await rm(at('registered'));
  const state = Buffer.alloc(8192);
  state.set(formatBootState({ ...started, tried: 'a' }), bootStateOffsets[0]);
  const before = await readFile(at('state'));
  await writeFile(at('state'), state);
  await writeFile(at('boot'), 'slot=a\nattempts=1\n');
  assert.equal(await judgeTrial(options), true);
  await writeFile(at('state'), before);
  await writeFile(at('boot'), 'slot=b\nattempts=1\n');
  await writeFile(at('update/trial.json'), '{"slot":"c"}');
  assert.equal(await store.trial(), undefined, 'what is damaged is none');
  assert.equal(await judgeTrial(options), true);
});

test('a system and the boot firmware that came with it go back together', async (t) => {
  for (const comesUp of [true, false]) {
    const { options, at, first, store } = await board(t);
    const banks = new FakeBanks();
    banks.asked = 'b';
    banks.reset(!comesUp);
    const firmware = { bank: 'b', sha256: '0'.repeat(64) } as const;
    await store.beginTrial({ slot: 'b', release: '1.1', rollbackIndex: 0, rootHash: judged, firmware });
    if (comesUp) {
      assert.equal(await judgeTrial({ ...options, banks }), true);
      await rm(at('registered'));
    }
    assert.equal(await judgeTrial({ ...options, banks }), false);
    assert.equal(await first(), 'a');
    assert.match((await store.failure()) ?? '', comesUp ? /not registered/ : /boot firmware did not come up/);
    assert.equal(banks.rejected, comesUp);
  }
});
