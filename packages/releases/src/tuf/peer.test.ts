// SPDX-License-Identifier: Apache-2.0
//
// tuf-js, a client of others, reads what this program publishes, and refuses what ours refuses.
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { Updater } from 'tuf-js';
import { httpSource } from '../sources/http.ts';
import { SyntheticRepository } from '../testing/synthetic-repository.ts';

/** A folder on a plain web server. */
async function serve(folder: string): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    const stream = createReadStream(
      join(folder, decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname)),
    );
    stream.once('error', () => response.writeHead(404).end());
    stream.once('open', () => stream.pipe(response.writeHead(200)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

for (const kind of ['ed25519', 'ec'] as const) {
  test(`tuf-js takes every file of a repository that ${kind} keys signed, and none that was changed`, async () => {
    // tuf-js asks the machine's clock.
    await using repository = await SyntheticRepository.open(kind, new Date());
    await repository.release('1.0');
    await repository.sign();
    await using server = await serve(repository.folder);
    const place = join(repository.folder, 'peer');
    /** What tuf-js gets for a path. */
    const peer = async (path: string): Promise<Buffer> => {
      await rm(place, { recursive: true, force: true });
      await mkdir(place);
      await writeFile(join(place, 'root.json'), repository.root);
      const updater = new Updater({
        metadataDir: place,
        metadataBaseUrl: `${server.url}/metadata`,
        targetDir: place,
        targetBaseUrl: `${server.url}/targets`,
        config: { fetchRetry: 0 },
      });
      await updater.refresh();
      const info = await updater.getTargetInfo(path);
      assert.ok(info !== undefined, path);
      return await readFile(await updater.downloadTarget(info, join(place, 'target')));
    };
    /** What ours gets, over the same server. */
    const own = async (path: string): Promise<Buffer> => {
      const client = await repository.client({ source: httpSource(server.url, AbortSignal.timeout(60_000)) });
      const target = await client.find(path);
      assert.ok(target !== undefined, path);
      return await buffer(client.read(target));
    };
    const paths = (await (await repository.client()).list()).map(({ path }) => path);
    assert.equal(paths.length, 8);
    for (const path of paths) assert.ok((await peer(path)).equals(await own(path)), path);
    const [path = ''] = paths;
    for (const name of ['timestamp.json', '2.snapshot.json', '1.os.json']) {
      const file = join(repository.folder, 'metadata', name);
      const honest = await readFile(file, 'utf8');
      await writeFile(file, honest.replace(/"expires": "20/, '"expires": "21'));
      await assert.rejects(peer(path), { name: /^(?!AssertionError)/ }, name);
      await assert.rejects(own(path), { name: 'MblError' }, name);
      await writeFile(file, honest);
    }
    assert.ok((await peer(path)).equals(await own(path)));
  });
}

test('a server that has no such file, fails or is not there is told apart', async () => {
  const server = createServer((request, response) => {
    response.writeHead(Number(request.url?.slice(1))).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const source = httpSource(`http://127.0.0.1:${port}`, AbortSignal.timeout(60_000));
  assert.equal(await source.open('404'), undefined);
  assert.equal(await source.open('403'), undefined);
  await assert.rejects(source.open('500'), { code: 'release/unreachable', message: /answered 500/ });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(source.open('404'), { code: 'release/unreachable', remedy: /server runs/ });
});
