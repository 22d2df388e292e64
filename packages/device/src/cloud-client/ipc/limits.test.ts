// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatAppCallers } from '@mbl/formats';
import { sensor } from '../../testing/app-bus-fixture.ts';
import { KeptLog, TemporaryFolder } from '../../testing/support.ts';
import { CallersFile } from './callers-file.ts';
import { Deferrals } from './deferrals.ts';
import { TokenBucket } from './token-bucket.ts';

test('a bucket lets a burst through, and then as many as come with time', () => {
  let now = 0;
  const bucket = new TokenBucket({ burst: 10, perSecond: 100, now: () => now });
  const taken = (times: number) => Array.from({ length: times }, () => bucket.take()).filter(Boolean).length;
  assert.equal(taken(20), 10);
  now += 50;
  assert.equal(taken(20), 5);
  now += 60_000;
  assert.equal(taken(20), 10);
  now += 60_000;
  assert.deepEqual(
    [bucket.take(7), bucket.take(4), bucket.take(3), bucket.take()],
    [true, false, true, false],
  );
});

test('an app has a restart wait, as long as it asks for and the owner lets it', () => {
  let now = 0;
  let longest = 600;
  const kept = new KeptLog();
  const deferrals = new Deferrals({ longest: () => longest, log: kept.log, now: () => now });
  assert.equal(deferrals.current(), undefined);
  assert.equal(deferrals.ask(1, 'pump', 60, 'half full'), 60);
  assert.equal(deferrals.ask(2, 'web', 10_000, ''), 600);
  assert.deepEqual(deferrals.current(), { app: 'pump', reason: 'half full' });
  now += 60_000;
  assert.deepEqual(deferrals.current(), { app: 'web', reason: '' });
  deferrals.keep((uid) => uid !== 2);
  assert.equal(deferrals.current(), undefined);
  deferrals.ask(1, 'pump', 60, '');
  assert.equal(deferrals.ask(1, 'pump', 0, ''), 0);
  assert.equal(deferrals.current(), undefined);
  longest = 0;
  assert.equal(deferrals.ask(1, 'pump', 60, ''), 0);
  assert.equal(deferrals.current(), undefined);
  assert.throws(() => deferrals.ask(1, 'pump', 60, 'a\nb'), { busName: /InvalidArgs$/ });
  assert.deepEqual(kept.lines.slice(0, 2), [
    'restart deferred app=pump seconds=60',
    'restart deferred app=web seconds=600',
  ]);
});

test('who the apps are is read anew when the file is another', async () => {
  using folder = new TemporaryFolder();
  const path = join(folder.path, 'callers.json');
  const kept = new KeptLog();
  const file = new CallersFile(path, kept.log);
  assert.equal((await file.read()).size, 0);
  const write = (text: string) => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  write(formatAppCallers(new Map([[200_000, sensor]])));
  const callers = await file.read();
  assert.deepEqual(callers.get(200_000), sensor);
  assert.equal(await file.read(), callers);
  write('{"version":1,"callers":{"0":{}}}');
  assert.equal((await file.read()).size, 0);
  assert.match(kept.lines[0] ?? '', /^apps not known reason=/);
});
