// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServiceClient } from '../../client/service-client.ts';
import { eventually } from '../../testing/device.ts';
import { TestRepository } from '../../testing/repository.ts';
import { TestService } from '../../testing/service.ts';
import { UpdatableDevice } from '../../testing/updatable-device.ts';
import { largestPiece } from './incoming.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('a repository is published over the API, in pieces, and devices that ran it before are named', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'mbl-published-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const source = stack.use(await TestRepository.open());
  await source.release('1.0', { notes: 'The first' });
  const service = stack.use(await TestService.start({ releases: folder }));
  const { http, apiKey } = service.service.file;
  const { releases } = new ServiceClient({ url: http, apiKey });
  assert.deepEqual(await releases.list(), []);
  await using device = await UpdatableDevice.enrolled(service, 'board-1', TestRepository.buildId('1.0'));
  await device.start();
  const runs = async () => (await service.get(`/v3/devices/${device.id}`)).body;
  await eventually(async () => (await runs()).build_id === device.build, 'it says what it runs');
  assert.equal((await runs()).release, null);
  assert.equal((await service.get('/v3/releases/1.0')).status, 404);

  const metadata: Record<string, string> = {};
  const content = new Map<string, Buffer>();
  for (const name of ['1.root', '1.targets', '1.os', '1.snapshot', 'timestamp']) {
    const bytes = readFileSync(join(source.folder, 'metadata', `${name}.json`));
    metadata[`${name}.json`] = sha256(bytes);
    content.set(sha256(bytes), bytes);
  }
  for (let round = 0; ; round++) {
    const offered = await releases.offer(metadata);
    if (offered.state === 'published') break;
    assert.ok(round < 3);
    for (const { sha256: digest, path } of offered.missing) {
      const bytes = content.get(digest) ?? readFileSync(join(source.folder, path));
      const half = Math.floor(bytes.length / 2);
      await releases.send(digest, bytes.subarray(0, half), { offset: 0, last: false });
      await assert.rejects(releases.send(digest, bytes, { offset: 0, last: true }), {
        code: 'service/conflict',
      });
      await releases.send(digest, bytes.subarray(half), { offset: half, last: true });
    }
  }
  const [release] = await releases.list();
  assert.deepEqual([release?.name, release?.notes], ['1.0', 'The first']);
  assert.deepEqual((await releases.offer(metadata)).metadata, []);
  assert.equal((await runs()).release, '1.0');
});

test('what is no piece of a file is refused', async () => {
  await using service = await TestService.start();
  const path = `/v3/release-files/${'ab'.repeat(32)}`;
  const put = async (to: string, type: string, body: Buffer) => {
    const { http, apiKey } = service.service.file;
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': type };
    return (await fetch(http + to, { method: 'PUT', headers, body })).status;
  };
  const some = Buffer.from('some');
  assert.equal(await put(path, 'application/octet-stream', some), 400, 'of another digest');
  assert.equal(await put(path, 'application/json', Buffer.from('{}')), 415);
  assert.equal(await put(path, 'text/plain', some), 415);
  assert.equal(await put('/v3/release-files/7', 'application/octet-stream', some), 400);
  assert.equal(await put(path, 'application/octet-stream', randomBytes(largestPiece + 1)), 413);
  assert.equal(
    await put('/v3/devices/7', 'application/octet-stream', some),
    415,
    'elsewhere bytes are no body',
  );
  const wrong = await service.call('POST', '/v3/release-publications', { metadata: { '../x.json': 'ab' } });
  assert.equal(wrong.status, 400);
  const none = await service.call('POST', '/v3/release-publications', { metadata: {} });
  assert.deepEqual([none.status, none.body.fields[0].message], [400, '1.root.json is not there']);
});
