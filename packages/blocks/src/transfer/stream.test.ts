// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { writeStream } from '../payload/stream.ts';
import { MemorySource } from '../testing/devices.ts';
import { MemoryMirror } from '../testing/memory-mirror.ts';
import { Random, targetOf } from '../testing/random.ts';
import { images, publish, type Scene, scene } from '../testing/scene.ts';
import { transfer } from './transfer.ts';

const random = new Random(11);
const olds = images(random, 700);
const target = targetOf(olds.next);
const published = await publish(target, [new MemorySource('root_a', olds.running)]);
const stream = await (async () => {
  const pieces: Uint8Array[] = [];
  const image = new MemorySource('image', target.data);
  const size = await writeStream(image, async (piece) => void pieces.push(piece), {
    level: 3,
    signal: new AbortController().signal,
  });
  const bytes = Buffer.concat(pieces);
  assert.equal(bytes.length, size);
  return bytes;
})();

/** A device that has nothing, and a mirror that has the stream, or what a test makes of it. */
function empty(lie: (bytes: Buffer) => Uint8Array | undefined = (bytes) => bytes): Scene {
  const given = lie(Buffer.from(stream));
  const files = new Map<string, Uint8Array>(published.files);
  if (given !== undefined) files.set('stream', given);
  const nothing = { running: Buffer.alloc(4096), idle: Buffer.alloc(4096) };
  const mirror = new MemoryMirror('mirror', files);
  const more = { sources: [], maps: [], mirrors: [mirror], stream: { file: 'stream', size: stream.length } };
  return { ...scene(target, published, nothing, { options: more }), mirror };
}

function assertWhole({ disk }: Scene): void {
  assert.ok(disk.bytes.subarray(0, target.whole.length).equals(target.whole));
}

test('a device that has nothing reads the stream, which costs less than frames', async () => {
  const it = empty();
  const report = await transfer(it.options);
  assertWhole(it);
  const { stream: _none, ...framesOnly } = empty().options;
  const frames = await transfer(framesOnly);
  assert.ok(report.spent < frames.spent, `${report.spent} and ${frames.spent}`);
  assert.deepEqual(report.wrong, []);
  assert.ok(
    it.mirror.requests.every(({ file, start }) => file === 'stream' || start > 0),
    'and no frames',
  );
});

test('a device that has nearly all of it takes frames', async () => {
  const { options, mirror, ...rest } = scene(target, published, olds);
  await transfer({ ...options, stream: { file: 'stream', size: stream.length } });
  assertWhole({ options, mirror, ...rest });
  assert.ok(mirror.requests.every(({ file }) => file !== 'stream'));
});

test('a stream that lies, is none, is too short or too long, or is not there costs bytes and nothing else', async () => {
  const lies: Record<string, [(bytes: Buffer) => Uint8Array | undefined, string[]]> = {
    'a bit': [
      (bytes) => Buffer.from(bytes.with(bytes.length >> 1, (bytes[bytes.length >> 1] ?? 0) ^ 4)),
      ['mirror'],
    ],
    'no zstd': [(bytes) => bytes.fill(7), ['mirror']],
    'another image': [(bytes) => bytes.fill(bytes.subarray(0, 4000), 4000), ['mirror']],
    'not there': [() => undefined, []],
  };
  for (const [name, [lie, named]] of Object.entries(lies)) {
    const it = empty(lie);
    const report = await transfer(it.options);
    assertWhole(it);
    assert.deepEqual(
      report.wrong.map((wrong) => wrong.name),
      named,
      name,
    );
  }
});

test('a stream that breaks off for good leaves what came of it', async () => {
  const it = empty();
  it.mirror.fault = (request) => (request > 0 ? { kind: 'break', after: stream.length / 2 } : undefined);
  const down = { ...it.options, timing: { ...it.options.timing, rounds: 1 } };
  await transfer(down).catch((error: unknown) => assert.ok(error instanceof MblError));
  it.mirror.fault = () => undefined;
  const report = await transfer(it.options);
  assertWhole(it);
  assert.ok(report.kept > 0);
});

test('a budget holds for the stream, too', async () => {
  const it = empty();
  await assert.rejects(transfer({ ...it.options, budget: stream.length >> 1 }), {
    code: 'blocks/over-budget',
  });
  assert.ok(it.mirror.sent < stream.length >> 1);
});
