// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ImageDescription } from '@mbl/formats';
import { runProgram } from '../program.ts';
import { testCli } from '../testing/cli.ts';
import type { Workspace } from '../workspace.ts';
import { boardName, listBoards, onlyBoard } from './boards.ts';

const version = '1';
const hash = '0'.repeat(64);

const image: ImageDescription = {
  version: 1,
  machine: 'qemu-arm64',
  image: 'development',
  buildId: '0123456789abcdef',
  keys: 'development',
  components: {
    'boot-firmware': { version, sha256: hash },
    kernel: { version, sha256: hash },
    root: { version, rootHash: hash },
  },
  flash: { file: 'flash.bin', size: 4096, parts: {} },
  disk: { file: 'disk.img', size: 4096, sectorSize: 512, partitions: [] },
  fit: { parts: {} },
  root: { dataSize: 4096, hashOffset: 4096, rootHash: hash },
  emulator: {
    binary: 'qemu-system-aarch64',
    args: [],
    disk: 'virtio-blk-device',
    serialConsole: 0,
    secureConsole: 1,
  },
};

/** A workspace with boards of these names, which are off. */
async function workspace(t: TestContext, ...names: string[]): Promise<Workspace> {
  const state = await mkdtemp(join(tmpdir(), 'mbl-boards-'));
  t.after(async () => await rm(state, { recursive: true, force: true }));
  for (const name of names) {
    const directory = join(state, 'boards', name);
    await mkdir(directory, { recursive: true });
    const file = { version: 1, name, imageDirectory: '/x', buildId: 'b', ssh: { user: 'root', key: '/k' } };
    await writeFile(join(directory, 'board.json'), JSON.stringify(file));
    await writeFile(join(directory, 'image.json'), JSON.stringify(image));
  }
  return { ...testCli().cli.workspace, state };
}

test('where no board is named, the only one is meant, or the first by name', async (t) => {
  assert.equal(await boardName(await workspace(t), undefined), 'mbl-board-1');
  assert.equal(await boardName(await workspace(t, 'one'), undefined), 'one');
  const two = await workspace(t, 'b', 'a');
  assert.equal(await boardName(two, undefined), 'a');
  assert.equal(await boardName(two, 'new'), 'new');
});

test('what takes something away asks which, where there are several', async (t) => {
  assert.equal(await onlyBoard(await workspace(t, 'one'), undefined, 'remove'), 'one');
  const two = await workspace(t, 'b', 'a');
  assert.equal(await onlyBoard(two, 'b', 'remove'), 'b');
  await assert.rejects(onlyBoard(two, undefined, 'remove'), {
    code: 'cli/board-unnamed',
    message: 'There are 2 boards: a, b.',
    remedy: 'Say which: ./mbl board remove a',
  });
});

test('boards are listed and removed, each for people and for programs', async (t) => {
  const own = await workspace(t, 'b', 'a');
  const run = async (...words: string[]) => {
    const { cli, stdout, stderr } = testCli({ workspace: own });
    return { code: await runProgram(cli, words), stdout: stdout(), stderr: stderr() };
  };
  assert.match((await run('board', 'list')).stdout, /^BOARD .*\na +off +qemu-arm64 +development +b /);
  await mkdir(join(own.state, 'boards', 'c'));
  const damaged = await run('board', 'list');
  assert.match(damaged.stdout, /^c +damaged +- /m);
  assert.match(damaged.stderr, /^c: There is no board in .*mbl board remove c$/m);
  assert.equal((await run('board', 'remove', 'c')).code, 0);
  assert.equal((await run('board', 'remove')).code, 1);
  const { stdout } = await run('board', 'remove', 'a', '--json');
  assert.deepEqual(JSON.parse(stdout), { name: 'a', directory: join(own.state, 'boards', 'a') });
  assert.deepEqual(
    (await listBoards(own)).map(({ name }) => name),
    ['b'],
  );
  assert.match((await run('board', 'remove')).stdout, /Board b is gone.*mbl device delete b/);
  assert.match((await run('board', 'list')).stdout, /No boards yet\. Start with: \.\/mbl up/);
  assert.match((await run('board', 'remove', 'a')).stderr, /lab\/unknown-board.*\n.*mbl board list/);
});
