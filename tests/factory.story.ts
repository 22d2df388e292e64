// SPDX-License-Identifier: Apache-2.0
//
// A product's line: disks that are all the same become the disks of devices, each with its own name, code and GUIDs.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findWorkspace, startDaemon, stopDaemon } from '@mbl/cli';
import { type Board, createBoard } from '@mbl/lab';
import { ServiceClient } from '@mbl/service';
import { assertError, mbl, mblJson, temporaryFolder } from './support/mbl.ts';
import { imageOf, online } from './support/world.ts';

const run = promisify(execFile);

describe("a product's line", { timeout: 600_000 }, () => {
  const stack = new AsyncDisposableStack();
  let folder = '';
  let environment: Record<string, string>;
  let client: ServiceClient;
  let boards: readonly Board[] = [];

  before(async () => {
    ({ path: folder } = stack.use(await temporaryFolder()));
    environment = { MBL_STATE: join(folder, 'state') };
    const workspace = findWorkspace(environment);
    const { file } = await startDaemon(workspace, { signal: AbortSignal.timeout(60_000) });
    stack.defer(async () => {
      await stopDaemon(workspace, AbortSignal.timeout(60_000));
    });
    client = new ServiceClient({ url: file.http, apiKey: file.apiKey });
    const imageDirectory = await imageOf('development');
    boards = await Promise.all(
      ['one', 'two'].map(async (name) =>
        stack.use(await createBoard({ directory: join(folder, name), name, imageDirectory })),
      ),
    );
  });
  after(async () => await stack.disposeAsync());

  const disk = (board: Board): string => join(board.directory, 'disk.img');

  async function guids(board: Board): Promise<string[]> {
    const { stdout } = await run('sgdisk', ['--verify', disk(board)]);
    assert.match(stdout, /No problems found/);
    const count = board.image.disk.partitions.length;
    const infos = Array.from({ length: count }, (_, index) => `--info=${index + 1}`);
    const shown = await run('sgdisk', ['--print', ...infos, disk(board)]);
    const own = /(?:Disk identifier \(GUID\)|Partition unique GUID): ([0-9A-F-]{36})/g;
    return [...shown.stdout.matchAll(own)].map(([, guid = '']) => guid);
  }

  test('a configuration is made once, with a code that nobody else reads', async () => {
    const file = join(folder, 'factory.json');
    const command = ['factory', 'configure', 'line-1', '10.0.2.2', '--file', file];
    const made = await mbl(command, { environment });
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /mbl factory write DISK --file .*factory\.json/);
    const first = await readFile(file, 'utf8');
    assert.equal((await run('stat', ['-c', '%a', file])).stdout, '600\n');
    assertError(await mbl(command, { environment }), 'cli/file-exists', /factory\.json/);
    assert.equal(await readFile(file, 'utf8'), first);
    const bad = ['factory', 'configure', 'line-2', 'no host', '--file', join(folder, 'bad.json')];
    assertError(await mbl(bad, { environment }), 'formats/bad-factory', /https:\/\/host:port/);
    await assert.rejects(readFile(join(folder, 'bad.json')), { code: 'ENOENT' });
    assert.deepEqual(
      (await client.listDevices()).map(({ endpoint_name }) => endpoint_name),
      ['line-1'],
      'what failed named no device',
    );
  });

  test('a disk gets it, and GUIDs that no other disk of the image has', async () => {
    const [board, other] = boards as [Board, Board];
    const before = await guids(board);
    const wrote = await mblJson<{ files: string[] }>(
      [
        ...['factory', 'write', disk(board), '--file', join(folder, 'factory.json')],
        ...['--with', join(board.directory, 'ssh_key.pub')],
      ],
      { environment },
    );
    assert.deepEqual(wrote.files, ['factory.json', 'ssh_key.pub']);
    const all = [...before, ...(await guids(board)), ...(await guids(other))];
    assert.equal(all.length, 3 * (1 + board.image.disk.partitions.length));
    assert.equal(new Set(all).size, all.length);
  });

  test('what is no disk of an image is refused, and not changed', async () => {
    const file = join(folder, 'factory.json');
    const before = await readFile(file);
    const write = async (target: string) =>
      await mbl(['factory', 'write', target, '--file', file], { environment });
    assertError(await write(file), 'factory/no-table', /no partition table/);
    assert.ok((await readFile(file)).equals(before));
    assertError(await write(join(folder, 'none')), 'factory/no-disk', /none/);
    const twice = [
      ...['factory', 'write', disk(boards[0] as Board), '--file', file],
      ...['--with', join(folder, 'other', 'factory.json')],
    ];
    assertError(await mbl(twice, { environment }), 'cli/file-twice', /factory\.json/);
    const unnamed = ['factory', 'write', disk(boards[0] as Board), '--file', join(folder, 'none')];
    assertError(await mbl(unnamed, { environment }), 'cli/no-file', /factory configure/);
  });

  test('the device enrols from it by itself', async () => {
    const [board] = boards as [Board, Board];
    await board.start();
    assert.equal((await online(client, 'line-1')).endpoint_name, 'line-1');
    await board.powerOff();
  });
});
