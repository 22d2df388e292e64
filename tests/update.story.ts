// SPDX-License-Identifier: Apache-2.0
//
// A board gets a new version over the air: from any web server, verified by itself, on trial until it proves good; and back by itself where
// it does not.
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readImage } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { readBootStates } from './support/boot-state.ts';
import { mblJson } from './support/mbl.ts';
import { bootTimeoutMs, imageOf, online, openWorld, until, type World } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const limit = 1_800_000;
const name = 'updated';

describe('a board', { timeout: limit }, () => {
  const stack = new AsyncDisposableStack();
  let world: World;
  let board: Board;
  let id = '';
  let repository = '';
  let mirror = '';
  const builds = new Map<string, string>();
  /** Bytes that the mirror has given, and the end of the names of files of which it changes what it gives. */
  let given = 0;
  let flipped: string | undefined;
  /** What the mirror gives in the place of a file: the whole answer. */
  let lie: ((path: string, response: ServerResponse) => boolean) | undefined;

  before(async () => {
    world = stack.use(await openWorld());
    repository = join(world.directory, 'repository');
    mirror = await serve();
    const layer = await versions(join(world.directory, 'versions'));
    await release('1.0', await imageOf('development'));
    for (const [version, image] of [
      ['1.1', 'next'],
      ['1.2', 'sick'],
    ] as const) {
      const built = await mblJson<{ directory: string }>(['build', '--image', image, '--layer', layer], {
        timeout: limit,
      });
      await release(version, built.directory);
    }
    board = await world.board(name);
    await board.start();
    ({ id } = await online(world.client, name));
    await proved();
  });
  after(async () => await stack.disposeAsync());

  /** A layer with two images: one that is good, and one whose own check says that it is not. */
  async function versions(folder: string): Promise<string> {
    const write = async (path: string, text: string, mode = 0o644): Promise<void> => {
      await mkdir(join(folder, path, '..'), { recursive: true });
      await writeFile(join(folder, path), text, { mode });
    };
    await write('layer.yaml', 'name: versions\nimages: images\n');
    for (const image of ['next', 'sick']) {
      await write(
        `images/${image}.yaml`,
        `extends: development\ntitle: ${image}\nfiles: [../files, ../${image}]\n`,
      );
      await write(
        `${image}/etc/mbl/health.d/10-sensor`,
        image === 'next' ? '#!/bin/sh\nexit 0\n' : '#!/bin/sh\necho no sensor answers\nexit 3\n',
        0o755,
      );
    }
    await write(
      'files/usr/lib/systemd/system/mbl-health.service.d/limit.conf',
      '[Service]\nEnvironment=MBL_HEALTH_LIMIT=20\n',
    );
    return folder;
  }

  async function release(version: string, image: string): Promise<void> {
    const quickly = ['--level', '3', '--repository', repository];
    await mblJson(['release', 'create', version, image, ...quickly], { timeout: limit });
    await mblJson(['release', 'sign', '--repository', repository], { timeout: limit });
    builds.set(version, (await readImage(image))?.buildId ?? '');
  }

  /** A web server that knows nothing of releases; it serves ranges. */
  async function serve(): Promise<string> {
    const server = createServer((request: IncomingMessage, response: ServerResponse) => {
      const path = normalize(decodeURIComponent(request.url ?? '/'));
      if (lie?.(path, response) === true) return;
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      const [start, end] = range === null ? [0, undefined] : [Number(range[1]), Number(range[2])];
      const file = createReadStream(join(repository, path), { start, ...(end !== undefined && { end }) });
      file.on('data', (piece) => {
        given += piece.length;
        if (typeof piece !== 'string' && flipped !== undefined && path.endsWith(flipped))
          piece[2] = (piece[2] ?? 0) ^ 1;
      });
      file.once('error', () => response.writeHead(404).end());
      file.once('open', () => {
        if (end !== undefined) response.writeHead(206, { 'content-range': `bytes ${start}-${end}/*` });
        file.pipe(response);
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    stack.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://10.0.2.2:${(server.address() as AddressInfo).port}/`;
  }

  const value = async (path: string): Promise<unknown> =>
    (await world.client.read(id, path).catch(() => []))[0]?.value;

  /** The version runs, in that slot, and is the one to start from now on. */
  async function runs(version: string, slot: 'a' | 'b'): Promise<void> {
    await proved();
    assert.equal(await value('/33400/0/0'), slot);
    assert.match(String(await value('/3/0/19')), new RegExp(` ${builds.get(version)}$`));
    assert.equal((await online(world.client, name)).id, id, 'the same device');
  }

  async function proved(): Promise<void> {
    const { code, stderr } = await board.ssh('systemctl start mbl-good-boot', patience);
    assert.equal(code, 0, stderr);
  }

  async function says(state: number, result: number): Promise<void> {
    const status = async () => [await value('/5/0/3'), await value('/5/0/5')];
    await until(
      `state ${state}, result ${result}`,
      async () => String(await status()) === String([state, result]),
      bootTimeoutMs,
    );
  }

  /** Brings a release to the idle slot and starts it. */
  async function install(version: string): Promise<void> {
    await world.client.write(id, '/5/0/1', `${mirror}#${version}`);
    await says(2, 0);
    await world.client.execute(id, '/5/0/2');
  }

  test('takes nothing from a mirror that lies', async () => {
    flipped = 'root.payload';
    await world.client.write(id, '/5/0/1', `${mirror}#1.1`);
    await says(0, 5);
    assert.equal(await value('/33401/0/2'), 'update/mirror-mismatch');
    assert.ok(String(await value('/33401/0/1')).includes(mirror), 'the mirror that lied is named');
    flipped = undefined;
    await assert.rejects(world.client.execute(id, '/5/0/2'), /4\.05/);
    lie = (path, response) => {
      if (!path.endsWith('/timestamp.json')) return false;
      response.end('{"signatures":[],"signed":{}}');
      return true;
    };
    await world.client.write(id, '/5/0/1', `${mirror}#1.1`);
    await says(0, 5);
    lie = undefined;
  });

  test('goes to the new version, on trial, and keeps it', async () => {
    await install('1.1');
    await board.serial.waitFor(/mbl-health.*slot b is healthy/, patience);
    await runs('1.1', 'b');
    await says(0, 1);
  });

  test('goes back from a version whose own check is not content, and says why', async () => {
    given = 0;
    await install('1.2');
    // Both slots have nearly all of it.
    assert.ok(given < 500_000, `${given} bytes came from the mirror`);
    await board.serial.waitFor(
      /mbl-health.*slot a goes back: the check 10-sensor ended with 3: no sensor answers/,
      patience,
    );
    await board.serial.waitFor(/MBL: trying boot_b/, patience);
    await runs('1.1', 'b');
    await says(0, 8);
    assert.match(String(await value('/33401/0/1')), /10-sensor.*no sensor answers/);
    await board.powerOff();
    assert.ok((await readBootStates(board)).some((text) => /^MBL-BOOT 1 \d+ b b /.test(text)));
  });
});
