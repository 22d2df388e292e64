// SPDX-License-Identifier: Apache-2.0
//
// Orders to go to a release as they are given and shown on the command line, before any device is there to carry them out.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findWorkspace, startDaemon, stopDaemon } from '@mbl/cli';
import { assertError, mbl, mblJson, temporaryFolder } from './support/mbl.ts';

describe('with a service', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let environment: Record<string, string>;
  before(async () => {
    folder = await temporaryFolder();
    environment = { MBL_STATE: join(folder.path, 'state') };
    await startDaemon(findWorkspace(environment), { signal: AbortSignal.timeout(60_000) });
    await mblJson(['device', 'enrol', 'board-a'], { environment });
  });
  after(async () => {
    await stopDaemon(findWorkspace(environment), AbortSignal.timeout(60_000));
    await folder[Symbol.asyncDispose]();
  });

  test('an order waits for its device, is shown, and called off; a group is ordered as one', async () => {
    type Order = { state: string; release: string; repository: string | null; reason: string };
    type Shown = { update: { order: Order | null } };
    const mirror = 'https://mirror.example/releases/';
    const run = (...words: string[]) => mbl(words, { environment });
    assert.match((await run('group', 'list')).stdout, /No groups yet.*mbl group create/);
    assertError(await run('device', 'update', 'board-a', '1.1'), 'cli/no-such-release', /no release 1\.1/);
    assertError(await run('device', 'update', 'board-a'), 'cli/no-release', /which release/);
    const ordered = await run('device', 'update', 'board-a', `${mirror}#1.1`, '--no-wait');
    assert.match(ordered.stdout, /^board-a is ordered to go to 1\.1$/m);
    const shown = async () =>
      (await mblJson<Shown>(['device', 'show', 'board-a'], { environment })).update.order;
    const { state, release, repository, reason } = (await shown()) as Order;
    assert.deepEqual([state, release, repository, reason], ['waiting', '1.1', mirror, 'device-away']);
    assert.match((await run('device', 'show', 'board-a')).stdout, /^order +1\.1: waiting, .*not connected/m);
    assert.match((await run('device', 'update', 'board-a', '--cancel')).stdout, /not sent to 1\.1 any more/);
    assert.equal((await shown())?.state, 'cancelled');

    assert.equal((await run('group', 'create', 'lab', '--description', 'on the desk')).code, 0);
    assertError(
      await run('device', 'update', '--group', 'lab', `${mirror}#1.2`),
      'cli/empty-group',
      /has no devices/,
    );
    assert.match((await run('group', 'add', 'lab', 'board-a')).stdout, /^board-a is in lab$/m);
    type Given = { ordered: number; unchanged: number; orders: Order[] };
    const all = ['device', 'update', '--group', 'lab', `${mirror}#1.2`, '--no-wait'];
    const given = await mblJson<Given>(all, { environment });
    assert.deepEqual([given.ordered, given.unchanged, given.orders[0]?.release], [1, 0, '1.2']);
    assert.match((await run('group', 'show', 'lab')).stdout, /^board-a +\S+ +- +1\.2 +waiting /m);
    assert.match((await run('complete', '--', 'group', 'show', 'l')).stdout, /^lab\t1 devices$/m);
    assert.equal((await run('group', 'remove', 'lab', 'board-a')).code, 0);
    assert.equal((await run('group', 'delete', 'lab')).code, 0);
    assertError(await run('group', 'show', 'lab'), 'service/no-such-group', /no device group lab/);
  });

  test('nothing is published before something is signed', async () => {
    const words = ['release', 'publish', '--repository', join(folder.path, 'none')];
    assertError(await mbl(words, { environment }), 'release/missing', /Nothing is signed/);
    const other = [...words, '--service', 'http://127.0.0.1:9'];
    assertError(await mbl(other, { environment }), 'cli/no-api-key', /wants an API key/);
  });
});
