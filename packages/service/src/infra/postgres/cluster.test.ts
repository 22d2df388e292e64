// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { lockFile } from '../files.ts';
import { findPostgres } from './binaries.ts';
import { PrivateCluster } from './cluster.ts';
import { locateCluster } from './location.ts';

const scratch = await mkdtemp(join(tmpdir(), 'mbl-cluster-'));
await chmod(scratch, 0o711);
after(() => rm(scratch, { recursive: true, force: true }));

async function query(target: object, sql: string): Promise<unknown[]> {
  const client = new pg.Client(target);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a private cluster keeps what was committed over a clean stop, a kill and a stale pid file', async () => {
  const directory = join(scratch, 'postgres');
  const first = new PrivateCluster({ directory });
  let target = await first.start();
  assert.ok(target.host.startsWith('/'), 'a unix socket');
  assert.equal((await stat(target.host)).mode & 0o077, 0, 'nobody else may open it');
  await query(target, 'create table t (n int); insert into t values (1)');
  assert.deepEqual(await query(target, 'show fsync'), [{ fsync: 'on' }]);
  assert.deepEqual(await query(target, 'show listen_addresses'), [{ listen_addresses: '' }]);
  await first[Symbol.asyncDispose]();
  await assert.rejects(query(target, 'select 1'), 'stopped');

  const second = new PrivateCluster({ directory });
  target = await second.start();
  await query(target, 'insert into t values (2)');
  const pidFile = join(directory, 'data', 'postmaster.pid');
  process.kill(Number((await readFile(pidFile, 'utf8')).split('\n')[0]), 'SIGKILL');

  const third = new PrivateCluster({ directory });
  target = await third.start();
  assert.deepEqual(await query(target, 'select n from t order by n'), [{ n: 1 }, { n: 2 }]);

  const adopting = new PrivateCluster({ directory });
  assert.deepEqual(await adopting.start(), target, 'a running postmaster is taken over');
  await adopting[Symbol.asyncDispose]();
  await assert.rejects(query(target, 'select 1'), 'stopped');

  // Process 1 of another life: alive, and no postmaster.
  await writeFile(pidFile, `1\n${join(directory, 'data')}\n1\n5432\n${target.host}\n\n  1 1\nready\n`);
  await using fourth = new PrivateCluster({ directory });
  assert.deepEqual(await query(await fourth.start(), 'select count(*)::int as n from t'), [{ n: 2 }]);
});

test('a cluster whose data is away is not taken for a new one, and comes back with it', async () => {
  const directory = join(scratch, 'away');
  await using cluster = new PrivateCluster({ directory });
  const target = await cluster.start();
  await query(target, 'create table t (n int)');
  const data = join(directory, 'data');
  process.kill(Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0]), 'SIGKILL');
  await rename(data, `${data}.away`);
  await assert.rejects(cluster.start(), { code: 'service/postgres-not-started', message: /is gone/ });
  await rename(`${data}.away`, data);
  assert.deepEqual(await query(await cluster.start(), 'select n from t'), []);
});

test('clusters that start on one directory at once share one postmaster', async () => {
  const directory = join(scratch, 'shared', 'postgres');
  const all = Array.from({ length: 3 }, () => new PrivateCluster({ directory }));
  const targets = await Promise.all(all.map((one) => one.start()));
  for (const target of targets) {
    assert.deepEqual(target, targets[0]);
    assert.deepEqual(await query(target, 'select 1 as one'), [{ one: 1 }]);
  }
  for (const one of all) await one[Symbol.asyncDispose]();
  await assert.rejects(query(targets[0] ?? {}, 'select 1'), 'stopped');

  await using lock = await lockFile(`${directory}.lock`, 1000);
  assert.ok(lock);
  await assert.rejects(new PrivateCluster({ directory, startTimeoutMs: 500 }).start(), {
    code: 'service/locked',
  });
});

test('a directory whose name is too long for a socket gets a short one', async () => {
  const directory = join(scratch, 'd'.repeat(90), 'postgres');
  await using cluster = new PrivateCluster({ directory });
  const target = await cluster.start();
  assert.ok(Buffer.byteLength(join(target.host, '.s.PGSQL.5432')) <= 107);
  assert.deepEqual(await query(target, 'select 1 as one'), [{ one: 1 }]);
});

test('root keeps the cluster elsewhere when the PostgreSQL user cannot reach it', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root');
  const closed = await mkdtemp(join(scratch, 'closed-'));
  const elsewhere = join(scratch, 'elsewhere');
  const first = await locateCluster(join(closed, 'postgres'), elsewhere);
  assert.equal(await readlink(join(closed, 'postgres')), first.directory);
  assert.ok(first.directory.startsWith(elsewhere));
  assert.deepEqual(await locateCluster(join(closed, 'postgres'), elsewhere), first, 'found again');
  assert.equal((await readdir(elsewhere)).length, 1);
  assert.ok((await stat(elsewhere)).mode & 0o001, 'the PostgreSQL user may pass');
});

test('a missing server says where it comes from', async () => {
  await assert.rejects(findPostgres(undefined, scratch, ''), {
    code: 'service/postgres-missing',
    remedy: 'Start the service with ./mbl up, which brings it',
  });
  await assert.rejects(findPostgres(3, scratch, ''), { remedy: 'Install it: apt-get install postgresql-3' });
});
