// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { serveDisk } from '../testing/served-disk.ts';
import { encodeRecord, logMagic, parseRecord, recordLength } from './log-format.ts';
import { Recorder } from './recorder.ts';
import { coveredBy, positionAt, readWriteLog } from './write-log.ts';

const size = 4 * 1024 * 1024;
let work = '';
let disk = '';
let log = '';
let flushedAt = new Date();

/** Writes through QEMU's block layer, as a board's guest does. */
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-writes-'));
  [disk, log] = [join(work, 'disk.img'), join(work, 'writes.log')];
  await writeFile(disk, Buffer.alloc(size, 0xee));
  const recorder = new Recorder(new Map([['disk', disk]]), log);
  await recorder.start(join(work, 'in'));
  const server = { type: 'unix', path: join(work, 'in') };
  const node = { driver: 'nbd', server, export: 'disk', discard: 'unmap' };
  const { emulator, client } = await serveDisk(work, node);
  assert.equal(client.size, size);
  await client.write(0, Buffer.alloc(4096, 0x11));
  await client.write(8192, Buffer.alloc(512, 0x22));
  await client.flush();
  await sleep(10);
  flushedAt = new Date();
  await sleep(10);
  await client.write(0, Buffer.alloc(1024, 0x33));
  await client.clear('zero', 128 * 1024, 8192);
  await client.clear('discard', 1024 * 1024, 2 * 1024 * 1024);
  assert.ok((await client.read(0, 1024)).equals(Buffer.alloc(1024, 0x33)));
  await assert.rejects(client.write(size, Buffer.alloc(512)), /error/);
  client.close();
  emulator.kill('SIGTERM');
  await recorder.finished();
});
after(async () => await rm(work, { recursive: true, force: true }));

test('the log names every write, flush and discard in order, and what the flush covers', async () => {
  const { requests, records, cut } = await readWriteLog(log);
  assert.deepEqual(
    requests.slice(0, 6).map(({ operation, offset, length }) => [operation, offset, length]),
    [
      ['write', 0, 4096],
      ['write', 8192, 512],
      ['flush', 0, 0],
      ['write', 0, 1024],
      ['zero', 131072, 8192],
      ['discard', 1024 * 1024, 2 * 1024 * 1024],
    ],
  );
  assert.equal(cut, false);
  assert.equal(records, 2 * requests.length);
  const all = await readWriteLog(log);
  const flush = requests[2];
  assert.ok(flush !== undefined);
  assert.deepEqual(
    coveredBy(all, flush).map(({ id }) => id),
    [0, 1],
  );
  assert.equal(positionAt(all, flushedAt), requests[3]?.issued);
  assert.equal(positionAt(all, new Date(0)), 0);
  assert.equal(positionAt(all, new Date(Date.now() + 1000)), records);
});

test('the disk holds what was written; what was cleared is zeros, and takes no room', async () => {
  const bytes = await readFile(disk);
  const expected = Buffer.alloc(size, 0xee);
  expected
    .fill(0x11, 0, 4096)
    .fill(0x33, 0, 1024)
    .fill(0x22, 8192, 8192 + 512)
    .fill(0, 131072, 131072 + 8192);
  expected.fill(0, 1024 * 1024, 3 * 1024 * 1024);
  assert.ok(bytes.equals(expected));
  assert.ok((await stat(disk)).blocks * 512 < size - 1024 * 1024, 'a hole');
});

test('a log that is cut anywhere ends with its last whole record', async () => {
  const whole = await readWriteLog(log);
  const bytes = await readFile(log);
  const path = join(work, 'cut.log');
  let last = 0;
  for (let length = 0; length < bytes.length; length += length < 5000 ? 97 : 1371) {
    await writeFile(path, bytes.subarray(0, length));
    const { records, requests } = await readWriteLog(path);
    assert.ok(records >= last && records <= whole.records);
    assert.ok(
      requests.every(
        (request) => request.operation !== 'write' || request.dataOffset + request.length <= length,
      ),
    );
    last = records;
  }
  await writeFile(path, Buffer.concat([bytes, Buffer.alloc(recordLength)]));
  assert.deepEqual(await readWriteLog(path), { ...whole, path, cut: true }, 'zeros are no record');
});

test('no bytes make the reader throw anything but its error, or name data outside the log', async () => {
  const path = join(work, 'fuzz.log');
  const record = fc
    .record({
      request: fc.nat(3),
      completed: fc.boolean(),
      offset: fc.nat(9),
      data: fc.uint8Array({ maxLength: 9 }),
    })
    .map(({ request, completed, offset, data }) => {
      const common = {
        medium: 'disk',
        operation: 'write',
        forced: false,
        request,
        time: 0n,
        offset,
      } as const;
      const head = encodeRecord(
        { ...common, event: completed ? 'completed' : 'issued', length: data.length },
        completed ? undefined : data,
      );
      return completed ? head : Buffer.concat([head, data]);
    });
  const bytes = fc.array(fc.oneof(record, fc.uint8Array({ maxLength: 99 })), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.boolean(), async (parts, withMagic) => {
      const content = Buffer.concat([...(withMagic ? [logMagic] : []), ...parts]);
      await writeFile(path, content);
      try {
        const { requests } = await readWriteLog(path);
        for (const { dataOffset, length } of requests) assert.ok(dataOffset + length <= content.length);
      } catch (error) {
        if (!(error instanceof MblError)) throw error;
        assert.equal(error.code, 'lab/write-log-invalid');
      }
    }),
    { numRuns: 200 },
  );
  fc.assert(fc.property(fc.uint8Array({ minLength: 30, maxLength: 50 }), (head) => void parseRecord(head)));
});
