// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { serveFolder } from './serve.ts';

test('the files of a repository are served, whole and in ranges, and nothing else', async (t) => {
  const work = mkdtempSync(join(tmpdir(), 'mbl-serve-'));
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const folder = join(work, 'repository');
  for (const path of ['metadata', 'targets/os', 'staged']) mkdirSync(join(folder, path), { recursive: true });
  writeFileSync(join(folder, 'metadata/timestamp.json'), 'signed');
  writeFileSync(join(folder, 'targets/os/root.img'), '0123456789');
  writeFileSync(join(folder, 'targets/os/empty'), '');
  writeFileSync(join(folder, 'targets/.draft'), 'no');
  writeFileSync(join(folder, 'staged/os.json'), 'no');
  writeFileSync(join(work, 'secret'), 'no');
  symlinkSync('../../../secret', join(folder, 'targets/os/link'));
  symlinkSync('../../..', join(folder, 'targets/os/up'));
  await using served = await serveFolder(folder);
  const get = async (path: string, range?: string) => {
    const headers = range === undefined ? {} : { range };
    const response = await fetch(`${served.url}${path}`, { headers });
    return [response.status, response.headers.get('content-range'), await response.text()];
  };
  assert.deepEqual(await get('metadata/timestamp.json'), [200, null, 'signed']);
  assert.deepEqual(await get('targets/os/empty'), [200, null, '']);
  assert.deepEqual(await get('targets/os/root.img', 'bytes=2-4'), [206, 'bytes 2-4/10', '234']);
  assert.deepEqual(await get('targets/os/root.img', 'bytes=8-'), [206, 'bytes 8-9/10', '89']);
  assert.deepEqual(await get('targets/os/root.img', 'bytes=8-99'), [206, 'bytes 8-9/10', '89']);
  assert.deepEqual(await get('targets/os/root.img', 'bytes=10-11'), [416, 'bytes */10', '']);
  assert.deepEqual(await get('targets/os/root.img', 'lines=1'), [200, null, '0123456789']);
  for (const path of [
    'targets/os/link',
    'targets/os/up/secret',
    'targets/os/none',
    'targets/os',
    'targets/.draft',
    'targets/os/..%2froot.img',
    'targets/%zz',
    'staged/os.json',
    'metadata/',
    '',
  ])
    assert.equal((await get(path))[0], 404, path);
  assert.equal((await fetch(`${served.url}metadata/timestamp.json`, { method: 'POST' })).status, 405);
});
