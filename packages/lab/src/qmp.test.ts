// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { parseForwards, QmpDecoder, qmp } from './qmp.ts';

let work = '';
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-qmp-'));
});
after(async () => await rm(work, { recursive: true, force: true }));

test('messages are told apart, wherever the stream is cut', () => {
  const stream =
    '{"QMP": {"version": {}}}\r\n{"return": {}}\r\n{"event": "RESET", "data": {}}\r\n{"error": {"class": "GenericError", "desc": "no"}}\r\n';
  for (let cut = 0; cut <= stream.length; cut++) {
    const decoder = new QmpDecoder();
    const messages = [...decoder.decode(stream.slice(0, cut)), ...decoder.decode(stream.slice(cut))];
    assert.deepEqual(messages, [
      { kind: 'greeting' },
      { kind: 'return', value: {} },
      { kind: 'event', name: 'RESET' },
      { kind: 'error', description: 'no' },
    ]);
  }
});

test('nothing that a peer sends makes the decoder throw anything but its error', () => {
  const lines = fc.oneof(fc.string(), fc.json());
  fc.assert(
    fc.property(fc.array(lines), (parts) => {
      try {
        new QmpDecoder().decode(`${parts.join('\n')}\n`);
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'lab/qmp-invalid', String(error));
      }
    }),
  );
});

test('a peer that is silent, absent or gone is an error in time', async () => {
  const path = join(work, 'silent');
  const server = createServer(() => {}).listen(path);
  try {
    await assert.rejects(qmp(path, [], { timeoutMs: 50 }), { code: 'lab/deadline' });
    await assert.rejects(qmp(join(work, 'absent'), [], { timeoutMs: 50 }), { code: 'lab/board-stopped' });
    await assert.rejects(qmp(path, [], { signal: AbortSignal.timeout(30) }), { name: 'TimeoutError' });
  } finally {
    server.close();
  }
});

test('the forwards are read from QEMU’s table', () => {
  const table = `Hub -1 (network):\r
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r
  TCP[ESTABLISHED]   12       127.0.0.1 36241       10.0.2.15    22     0     0\r
  TCP[HOST_FORWARD]   9       127.0.0.1 36242       10.0.2.15  8080     0     0\r
  TCP[HOST_FORWARD]   8       127.0.0.1 36241       10.0.2.15    22     0     0\r\n`;
  assert.deepEqual(
    parseForwards(table),
    new Map([
      [8080, 36242],
      [22, 36241],
    ]),
  );
});
