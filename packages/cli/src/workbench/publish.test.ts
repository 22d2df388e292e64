// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ServiceClient } from '@mbl/service';
import { initKeys } from '@mbl/trust';
import { runProgram } from '../program.ts';
import { testCli } from '../testing/cli.ts';
import { makeImageFolder } from '../testing/image-folder.ts';
import { readPublished, sendFile } from './publish.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-publish-'));
const repository = join(folder, 'releases');
const signal = new AbortController().signal;

before(async () => {
  await initKeys(join(folder, 'state/keys'), { profile: 'development' });
  makeImageFolder(join(folder, 'image'), 1);
  const workspace = { state: join(folder, 'state'), build: join(folder, 'build') };
  for (const words of [
    ['create', '1.0', join(folder, 'image')],
    ['sign'],
    ['create', '1.1', join(folder, 'image')],
    ['sign'],
  ])
    assert.equal(
      await runProgram(testCli({ workspace }).cli, ['release', ...words, '--repository', repository]),
      0,
    );
});

after(() => rmSync(folder, { recursive: true, force: true }));

test('what is sent is what a device comes to need: not what is staged, nor versions of before', async () => {
  const { metadata, files } = await readPublished(repository, signal);
  assert.deepEqual([...metadata.keys()].toSorted(), [
    '1.root.json',
    '1.targets.json',
    '2.os.json',
    '2.snapshot.json',
    'timestamp.json',
  ]);
  for (const [sha256, { path, size }] of files) {
    const content = readFileSync(path);
    assert.equal(createHash('sha256').update(content).digest('hex'), sha256, path);
    assert.equal(content.length, size, path);
  }
  assert.ok([...files.values()].some(({ path }) => basename(path).endsWith('.root.img')));
  await assert.rejects(readPublished(join(folder, 'none'), signal), { code: 'release/missing' });
});

test('a file goes on from where the service has it', async () => {
  const { files } = await readPublished(repository, signal);
  const [sha256, file] = [...files].find(([, { path }]) => path.endsWith('.root.img')) ?? [];
  assert.ok(sha256 !== undefined && file !== undefined);
  const pieces: { offset: number; last: boolean; bytes: Buffer }[] = [];
  const client = {
    releases: {
      send: (_sha256: string, bytes: Uint8Array, { offset, last }: { offset: number; last: boolean }) => {
        pieces.push({ offset, last, bytes: Buffer.from(bytes) });
        return Promise.resolve();
      },
    },
  } as unknown as ServiceClient;
  let told = 0;
  const sent = (bytes: number) => (told += bytes);
  await sendFile(client, { sha256, file, received: 100, signal }, sent);
  const content = readFileSync(file.path);
  assert.deepEqual(pieces, [{ offset: 100, last: true, bytes: content.subarray(100) }]);
  assert.equal(told, content.length);
  // All is there, and was not seen to be whole.
  pieces.length = 0;
  await sendFile(client, { sha256, file, received: content.length, signal }, sent);
  assert.deepEqual(pieces, [{ offset: content.length, last: true, bytes: Buffer.alloc(0) }]);
});
