// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isLocked, lockFile } from './file-lock.ts';

async function lockPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-lock-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'a.lock');
}

void test('a lock is held by one at a time', async (t) => {
  const path = await lockPath(t);
  let inside = 0;
  const work = async (): Promise<void> => {
    await using _ = await lockFile(path);
    assert.equal(++inside, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside--;
  };
  await Promise.all(Array.from({ length: 5 }, work));
  assert.equal(await isLocked(path), false);
});

void test('waiting ends with the signal', async (t) => {
  const path = await lockPath(t);
  await using _ = await lockFile(path);
  const waits: number[] = [];
  const signal = AbortSignal.timeout(250);
  await assert.rejects(lockFile(path, { signal, onWait: (pid) => waits.push(pid) }));
  assert.deepEqual(waits, [process.pid]);
});

void test('a lock whose owner is dead, was another process or cannot be read is taken over', async (t) => {
  const path = await lockPath(t);
  const child = spawn('true');
  await once(child, 'exit');
  for (const content of [`${child.pid} 1\n`, `${process.pid} 1\n`, '', 'x y z']) {
    await writeFile(path, content);
    assert.equal(await isLocked(path), false);
    await using _ = await lockFile(path);
    assert.match(await readFile(path, 'utf8'), new RegExp(`^${process.pid} \\d+\n$`));
  }
});

void test('many who find a dead owner take turns', async (t) => {
  const path = await lockPath(t);
  await writeFile(path, '999999999 1\n');
  await writeFile(`${path}.break`, '999999998 1\n');
  const script = `
    import { lockFile } from ${JSON.stringify(join(import.meta.dirname, 'file-lock.ts'))};
    import { writeFileSync, rmSync } from 'node:fs';
    for (let i = 0; i < 3; i++) {
      await using _ = await lockFile(process.argv[1]);
      writeFileSync(process.argv[1] + '.inside', '', { flag: 'wx' });
      await new Promise((resolve) => setTimeout(resolve, 10));
      rmSync(process.argv[1] + '.inside');
    }`;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module-typescript', '-e', script, path], { stdio: 'inherit' }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as unknown));
  assert.deepEqual(codes, [0, 0, 0, 0]);
  assert.deepEqual(await readdir(join(path, '..')), []);
});
