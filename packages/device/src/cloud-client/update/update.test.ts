// SPDX-License-Identifier: Apache-2.0
//
// All that an update passes, but for the boot: releases made of images and signed, a web server, the client, the bus, the platform, the slots.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { composeRelease } from '@mbl/releases';
import { PlatformService } from '../../platformd/service.ts';
import { imageFolder } from '../../testing/image-folder.ts';
import { fileServer } from '../../testing/payload-server.ts';
import { PrivateBus } from '../../testing/private-bus.ts';
import { eventually, FakePlatform, KeptLog, TemporaryFolder } from '../../testing/support.ts';
import { TestBoard } from '../../testing/update-board.ts';
import { connectPlatform } from '../platform-client.ts';
import { noDeferrals } from '../ipc/deferrals.ts';
import { UpdateMemory } from './memory.ts';
import { httpRepository } from './repository.ts';
import { Updater } from './updater.ts';

const blockBytes = 4096;

test('a device with nothing takes the whole, in a stream; the next release costs it what changed', async () => {
  using board = new TestBoard();
  using folder = new TemporaryFolder();
  for (const name of ['boot_a', 'boot_b', 'root_a', 'root_b'])
    writeFileSync(board.at('disk', name), Buffer.alloc(3 << 20));
  const repository = join(folder.path, 'repository');
  const kernel = randomBytes(200_000);
  const data = Buffer.concat([randomBytes(300 * blockBytes), Buffer.alloc(40 * blockBytes, 'text ')]);
  const before = [];
  const roots: string[] = [];
  for (const name of ['1.1', '1.2']) {
    kernel.fill(name, 1000, 1100);
    data.fill(name, 77 * blockBytes, 78 * blockBytes);
    const image = join(folder.path, name);
    roots.push(imageFolder(image, kernel, data));
    const options = { name, images: [image], components: ['kernel', 'root'] as const, repository };
    const { release } = await composeRelease({ ...options, rollbackIndex: 0, notes: '', level: 10, before });
    await board.repository.add(release);
    before.push(release);
  }
  const given = new Map<string, number>();
  const files = {
    get(path: string): Buffer | undefined {
      const text = board.repository.files.get(path);
      if (text !== undefined) return Buffer.from(text);
      try {
        return readFileSync(join(repository, path));
      } catch {
        return undefined;
      }
    },
  };
  const serve = fileServer(files, (path, bytes) => given.set(path, (given.get(path) ?? 0) + bytes));
  const server = createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror`;
  await using bus = await PrivateBus.start();
  const kept = new KeptLog();
  const update = async (release: string): Promise<Updater> => {
    const platform = Object.assign(new FakePlatform(), board.platform);
    await using service = new PlatformService(platform, bus.address, kept.log);
    await service.start();
    await using client = connectPlatform(bus.address);
    const service_ = { url: 'https://127.0.0.1:1', serverName: '', trust: '' };
    await using updater = new Updater({
      platform: client,
      memory: await UpdateMemory.load(folder.path),
      deferrals: noDeferrals,
      repository: httpRepository({ service: service_, state: folder.path }),
      log: kept.log,
      now: Date.now,
      changed: () => undefined,
    });
    given.clear();
    await updater.begin(`${mirror}#${release}`);
    await eventually(() => updater.status.state !== 'downloading', 60_000);
    assert.equal(updater.status.state, 'downloaded', `${updater.status.detail}\n${kept.lines.join('\n')}`);
    await updater.install();
    assert.equal(platform.reboots, 1);
    return updater;
  };
  try {
    await update('1.1');
    assert.ok([...given.keys()].some((path) => path.includes('/streams/')));
    board.boots('b', { ...board.state, tried: 'b', attempts: { a: 0, b: 0 } }, roots[0]);
    assert.equal((await board.platform.getUpdate()).state, 'confirmed');
    const { status } = await update('1.2');
    const sum = [...given.values()].reduce((all, bytes) => all + bytes, 0);
    assert.ok(sum < data.length / 10, `${sum} bytes`);
    assert.ok(status.fetched >= sum);
    assert.ok([...given.keys()].some((path) => path.includes('/maps/')));
    assert.ok(![...given.keys()].some((path) => path.includes('/streams/')));
    assert.ok(readFileSync(board.at('disk', 'root_a')).subarray(0, data.length).equals(data));
    board.boots('a', { ...board.state, tried: 'a', attempts: { a: 0, b: 0 } }, roots[1]);
    const told = { state: 'confirmed', release: '1.2', reason: '', detail: '' };
    assert.deepEqual(await board.platform.getUpdate(), told);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
