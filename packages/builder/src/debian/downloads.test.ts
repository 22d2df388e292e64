// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MblError } from '@mbl/trust';
import { Downloads, type Fetcher, type Wanted } from './downloads.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-downloads-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const content = 'the package';
const wanted: Wanted = {
  path: 'pool/main/p/package_1_arm64.deb',
  sha256: createHash('sha256').update(content).digest('hex'),
  size: content.length,
};

const serve =
  (text: string, calls: string[] = []): Fetcher<Wanted> =>
  async (missing) => {
    for (const { wanted, target } of missing) {
      calls.push(wanted.path);
      writeFileSync(target, text);
    }
  };

const parts = (): string[] =>
  readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.part'));

test('what is cached is not fetched again; what is corrupt is named and fetched again', async () => {
  const downloads = new Downloads(folder);
  const calls: string[] = [];
  const path = (await downloads.obtain([wanted], serve(content, calls))).get(wanted) ?? '';
  assert.equal(readFileSync(path, 'utf8'), content);
  await downloads.obtain([wanted], serve(content, calls));
  assert.equal(calls.length, 1);

  writeFileSync(path, 'the packagE');
  const lines: string[] = [];
  await downloads.obtain([wanted], serve(content, calls), { log: (line) => lines.push(line) });
  assert.equal(calls.length, 2);
  assert.equal(readFileSync(path, 'utf8'), content);
  assert.match(lines.join('\n'), /package_1_arm64\.deb.*corrupt/);
  assert.ok(lines[0]?.includes(path));
});

test('a file that comes with another content is refused, and nothing of it stays', async () => {
  const downloads = new Downloads(join(folder, 'other'));
  await assert.rejects(downloads.obtain([wanted], serve('evil')), {
    code: 'builder/download-corrupt',
    message: /package_1_arm64/,
  });
  assert.deepEqual(parts(), []);
  await downloads.obtain([wanted], serve(content));
});

test('fifty pairs that fetch the same file at once into an empty cache all end well', async () => {
  // Each writes its part in two steps, as a transport does: a part that both wrote to would hold a mixture, or vanish under one of them.
  const slowly: Fetcher<Wanted> = async (missing) => {
    for (const { target } of missing) {
      await writeFile(target, content.slice(0, 4));
      await setImmediate();
      await appendFile(target, content.slice(4));
    }
  };
  for (let i = 0; i < 50; i += 1) {
    const place = join(folder, 'pairs', String(i));
    // Two tasks of one build: two objects in one process.
    const pair = [new Downloads(place), new Downloads(place)];
    const found = await Promise.all(pair.map(async (downloads) => downloads.obtain([wanted], slowly)));
    for (const paths of found) assert.equal(readFileSync(paths.get(wanted) ?? '', 'utf8'), content);
  }
  assert.deepEqual(parts(), []);
});

test('what the mirror no longer has is named', async () => {
  const downloads = new Downloads(join(folder, 'gone'));
  await assert.rejects(
    downloads.obtain([wanted], async () => {}),
    (error) => {
      assert.ok(error instanceof MblError);
      assert.equal(error.code, 'builder/download-missing');
      assert.match(error.message, /package_1_arm64\.deb/);
      assert.match(error.remedy ?? '', /--update-lock/);
      return true;
    },
  );
});

test('an aborted fetch leaves no part of a file', async () => {
  const controller = new AbortController();
  const downloads = new Downloads(join(folder, 'aborted'));
  const fetcher: Fetcher<Wanted> = async (missing) => {
    writeFileSync(missing[0]?.target ?? '', content.slice(0, 3));
    controller.abort();
    controller.signal.throwIfAborted();
  };
  await assert.rejects(downloads.obtain([wanted], fetcher, { signal: controller.signal }), {
    name: 'AbortError',
  });
  assert.deepEqual(parts(), []);
});
