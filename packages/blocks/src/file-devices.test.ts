// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { BLOCK_SIZE, countBlocks, DirectDisk, FileDisk, FileJournal, FileSource } from './index.ts';
import { serveFiles } from './testing/file-server.ts';
import { Random, targetOf } from './testing/random.ts';
import { images, publish } from './testing/scene.ts';
import type { Order } from './testing/transfer-files.ts';
import { slotBlocks } from './transfer/slot.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mbl-blocks-'));
});
after(() => rm(folder, { recursive: true, force: true }));

test('an extent is read and written within its bounds', async () => {
  const path = join(folder, 'disk');
  const bytes = new Random(1).image(6);
  await writeFile(path, bytes);
  const extent = { name: 'part', path, offset: BLOCK_SIZE, blocks: 4 };
  const into = Buffer.alloc(2 * BLOCK_SIZE);
  {
    await using disk = await FileDisk.open(extent);
    await disk.write(2, Buffer.alloc(2 * BLOCK_SIZE, 7));
    await disk.flush();
    await disk.read(1, into);
    assert.ok(into.subarray(0, BLOCK_SIZE).equals(bytes.subarray(2 * BLOCK_SIZE, 3 * BLOCK_SIZE)));
    assert.ok(into.subarray(BLOCK_SIZE).equals(Buffer.alloc(BLOCK_SIZE, 7)));
    await assert.rejects(disk.write(3, into), /part has no 8192 bytes from block 3/);
    await assert.rejects(disk.read(-1, into), /part has no/);
  }
  assert.ok((await readFile(path)).subarray(5 * BLOCK_SIZE).equals(bytes.subarray(5 * BLOCK_SIZE)));
  await using short = await FileSource.open({ ...extent, blocks: 9 });
  await assert.rejects(short.read(4, into), /part ends at byte/);
});

test('a disk past the cache is read and written within its bounds, from buffers anywhere', async () => {
  const path = join(folder, 'direct');
  const bytes = new Random(2).image(300);
  await writeFile(path, bytes);
  assert.equal(await countBlocks(path), 300);
  {
    await using disk = await DirectDisk.open({ name: 'part', path, blocks: 300 });
    const anywhere = Buffer.alloc(200 * BLOCK_SIZE + 7).subarray(7);
    await disk.read(100, anywhere);
    assert.ok(anywhere.equals(bytes.subarray(100 * BLOCK_SIZE)));
    anywhere.fill(7);
    await disk.write(3, anywhere);
    await disk.flush();
    await assert.rejects(disk.write(101, anywhere), /part has no/);
    await using longer = await DirectDisk.open({ name: 'part', path, blocks: 400 });
    await assert.rejects(longer.read(299, anywhere.subarray(0, 2 * BLOCK_SIZE)), /part ends at byte/);
  }
  bytes.fill(7, 3 * BLOCK_SIZE, 203 * BLOCK_SIZE);
  assert.ok((await readFile(path)).equals(bytes));
});

test('a file that is not whole blocks is read with zeros behind it', async () => {
  const path = join(folder, 'odd');
  await writeFile(path, Buffer.alloc(BLOCK_SIZE + 5, 7));
  await using source = await FileSource.open({ name: 'odd', path, blocks: 2, size: BLOCK_SIZE + 5 });
  const into = Buffer.alloc(2 * BLOCK_SIZE, 1);
  await source.read(0, into);
  assert.ok(into.subarray(0, BLOCK_SIZE + 5).every((byte) => byte === 7));
  assert.ok(into.subarray(BLOCK_SIZE + 5).every((byte) => byte === 0));
});

test('a journal is there whole, or not at all', async () => {
  const path = join(folder, 'journal');
  const journal = new FileJournal(path);
  assert.equal(await journal.read(), undefined);
  await journal.write(Buffer.from('first'));
  await writeFile(`${path}.new`, 'a part of the sec');
  assert.equal(String(await new FileJournal(path).read()), 'first');
  await journal.write(Buffer.from('second'));
  assert.equal(String(await journal.read()), 'second');
  await assert.rejects(stat(`${path}.new`));
  await assert.rejects(new FileJournal(folder).read());
});

test('a process that is killed again and again ends with the image, and fetches each group once', {
  timeout: 300_000,
}, async () => {
  const olds = images(new Random(8), 1000);
  const target = targetOf(olds.next);
  const { payload, files } = await publish(target, []);
  const slot = Buffer.alloc((slotBlocks(target.target.dataBlocks) + 1) * BLOCK_SIZE);
  const [runningPath, diskPath] = [join(folder, 'running'), join(folder, 'idle')];
  await writeFile(runningPath, olds.running);
  await writeFile(diskPath, slot);
  let sent = 0;
  const server = createServer(serveFiles(files, (bytes) => (sent += bytes)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const order: Order = {
    target: { ...target.target, salt: Buffer.from(target.target.salt).toString('hex') },
    payload,
    disk: { name: 'root_b', path: diskPath, blocks: slot.length / BLOCK_SIZE },
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    journal: join(folder, 'transfer.json'),
  };
  let killed = 0;
  let last = '';
  // Each process may add two groups to what is there; without resuming it would never end.
  for (let count = 0; count < 12 && !last.startsWith('{'); count += 1) {
    const path = join(import.meta.dirname, 'testing/transfer-files.ts');
    const child = spawn(process.execPath, [path, JSON.stringify(order)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    let lines = 0;
    for await (const line of createInterface(child.stdout)) {
      last = line;
      lines += 1;
      if (lines === 3 && !line.startsWith('8/')) child.kill('SIGKILL');
    }
    const [, signal] = (await closed) as [number | null, string | null];
    if (signal === 'SIGKILL') killed += 1;
  }
  server.close();
  assert.ok(killed >= 2, `${killed} times killed`);
  const report = JSON.parse(last) as { spent: number; kept: number };
  assert.ok(report.kept >= 4, `${report.kept} kept`);
  assert.ok((await readFile(diskPath)).subarray(0, target.whole.length).equals(target.whole));
  // What was asked for is counted before it comes: all that was sent, and at most a request for each process that was killed.
  assert.ok(
    report.spent >= sent && report.spent < sent + killed * 2 ** 20 + 100_000,
    `${report.spent}, sent ${sent}`,
  );
});
