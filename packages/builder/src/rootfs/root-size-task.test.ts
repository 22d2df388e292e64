// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootSizeTask } from './root-size-task.ts';

const mebibyte = 1024 * 1024;

test('a root is held against the limits of its image, on the disk and as a download', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'mbl-size-'));
  const [root, out] = [join(scratch.path, 'root'), join(scratch.path, 'out')];
  await mkdir(root);
  await mkdir(out);
  // Half of it does not shrink.
  await writeFile(join(root, 'root.img'), Buffer.concat([randomBytes(mebibyte), Buffer.alloc(mebibyte)]));
  const judge = (disk: number, download: number): Promise<void> =>
    rootSizeTask({ limits: { disk, download } }).run({
      out,
      work: scratch.path,
      signal: AbortSignal.timeout(60_000),
      need: () => root,
      digest: () => '',
      log: () => {},
      progress: () => {},
    });
  await judge(2 * mebibyte, 1.1 * mebibyte);
  const { disk, download } = JSON.parse(await readFile(join(out, 'size.json'), 'utf8'));
  assert.equal(disk, 2 * mebibyte);
  assert.ok(download > mebibyte && download < 1.1 * mebibyte, String(download));
  const tooLarge = { code: 'builder/root-too-large' };
  await assert.rejects(judge(2 * mebibyte - 1, 1.1 * mebibyte), { ...tooLarge, message: /on the disk/ });
  await assert.rejects(judge(2 * mebibyte, mebibyte), { ...tooLarge, message: /as a download/ });
});
