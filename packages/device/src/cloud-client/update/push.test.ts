// SPDX-License-Identifier: Apache-2.0
//
// A package of signed releases passes all that an update passes, but for the boot: the file, the client, the platform's judgement, the slots.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { composeRelease } from '@mbl/releases';
import { AppRepository } from '../../testing/app-repository.ts';
import { imageFolder } from '../../testing/image-folder.ts';
import { packed } from '../../testing/packing.ts';
import { eventually, FakePlatform, KeptLog, TemporaryFolder } from '../../testing/support.ts';
import { TestBoard } from '../../testing/update-board.ts';
import { noDeferrals } from '../ipc/deferrals.ts';
import { UpdateMemory } from './memory.ts';
import { PackageIntake } from './package-intake.ts';
import { httpRepository } from './repository.ts';
import { Updater } from './updater.ts';

const blockBytes = 4096;

test('a pushed release is judged, written and started as a pulled one; an older one, and that of a team of apps, are refused', async () => {
  using board = new TestBoard();
  using folder = new TemporaryFolder();
  for (const name of ['boot_a', 'boot_b', 'root_a', 'root_b'])
    writeFileSync(board.at('disk', name), Buffer.alloc(3 << 20));
  const repository = join(folder.path, 'repository');
  const kernel = randomBytes(200_000);
  const data = Buffer.concat([randomBytes(300 * blockBytes), Buffer.alloc(40 * blockBytes, 'text ')]);
  const image = join(folder.path, 'image');
  const root = imageFolder(image, kernel, data);
  for (const [name, rollbackIndex] of [
    ['1.0', 0],
    ['1.1', 1],
  ] as const) {
    const options = { name, images: [image], components: ['kernel', 'root'] as const, repository };
    const { release } = await composeRelease({ ...options, rollbackIndex, notes: '', level: 1, before: [] });
    await board.repository.add(release);
  }
  const files = new Map<string, Buffer>();
  for (const path of readdirSync(repository, { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.payload')) files.set(path, readFileSync(join(repository, path)));
  for (const [path, text] of board.repository.files) files.set(path, Buffer.from(text));
  const kept = new KeptLog();
  const packages = join(folder.path, 'packages');
  const platform = Object.assign(new FakePlatform(), board.platform);
  const memory = await UpdateMemory.load(folder.path);
  await using updater = new Updater({
    platform,
    memory,
    deferrals: noDeferrals,
    repository: httpRepository({
      service: { url: 'https://127.0.0.1:1', serverName: '', trust: '' },
      state: folder.path,
    }),
    log: kept.log,
    now: Date.now,
    changed: () => undefined,
  });
  const intake = new PackageIntake({ folder: packages, updater, memory, log: kept.log });
  const push = async (bytes: Buffer) => {
    const sink = intake.open(bytes.length);
    for (let at = 0; at < bytes.length; at += 50_000) await sink.write(bytes.subarray(at, at + 50_000));
    await sink.end();
    await eventually(() => updater.status.state !== 'downloading', 60_000);
    await eventually(() => readdirSync(packages).length === 0, 60_000);
    return updater.status;
  };
  const slot = (name: string, length: number) => readFileSync(board.at('disk', name)).subarray(0, length);

  const [payload = ''] = [...files.keys()].filter((path) => path.endsWith('root.payload'));
  const torn = new Map(files).set(payload, randomBytes(files.get(payload)?.length ?? 0));
  assert.equal((await push(packed(torn))).reason, 'update/mirror-mismatch');
  assert.equal(updater.status.result, 'integrityCheckFailure');
  const done = await push(packed(files));
  assert.equal(done.state, 'downloaded', `${done.detail}\n${kept.lines.join('\n')}`);
  assert.ok(slot('root_b', data.length).equals(data));
  await updater.install();
  assert.equal(platform.reboots, 1);
  board.boots('b', { ...board.state, tried: 'b', attempts: { a: 0, b: 0 } }, root);
  Object.assign(platform, board.platform);
  assert.equal((await board.platform.getUpdate()).state, 'confirmed');
  await updater.look();
  assert.deepEqual([updater.status.state, updater.status.result], ['idle', 'success']);

  const before = slot('root_a', data.length);
  const older = await push(packed(files, { release: '1.0' }));
  assert.deepEqual([older.result, older.reason], ['integrityCheckFailure', 'update/too-old']);
  using teams = await AppRepository.open(new Date('2027-01-15T12:00:00Z'));
  await teams.release('weather', '2.0', { sensor: randomBytes(blockBytes) });
  assert.equal((await push(packed(files, { release: '2.0' }))).reason, 'update/unknown-release');
  // Where the team's keys are others than those that the board knows.
  const foreign = new Map([...files].filter(([path]) => !path.startsWith('metadata/')));
  const metadata = ['timestamp.json', '1.snapshot.json', '1.targets.json', '1.weather.json'].map(
    (name) => `metadata/${name}`,
  );
  for (const path of metadata) {
    const bytes = teams.get(path);
    if (bytes !== undefined) foreign.set(path, bytes);
  }
  assert.ok(foreign.has('metadata/timestamp.json'));
  const refused = await push(packed(foreign, { release: '2.0' }));
  assert.deepEqual([refused.result, refused.reason], ['integrityCheckFailure', 'update/signature-invalid']);
  assert.ok(slot('root_a', data.length).equals(before));
});
