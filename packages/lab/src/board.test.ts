// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { factoryFor } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { attachConsole } from './attach-console.ts';
import type { Board } from './board.ts';
import { cloneBoard, createBoard, openBoard, reflashBoard, removeBoard } from './create-board.ts';
import { isAlive, runCommand, waitForExit } from './processes.ts';
import type { RunState } from './run-state.ts';
import { makeBareBuild } from './testing/bare-guest.ts';

let work = '';
let build = '';

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'lab-board-'));
  build = await makeBareBuild(join(work, 'build'));
});

after(async () => await rm(work, { recursive: true, force: true }));

function failsWith(code: string, message?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MblError, String(error));
    assert.equal(error.code, code);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

test('a board starts, says its lines, echoes what is typed, and loses its power', async () => {
  await using board = await createBoard({ directory: join(work, 'one'), name: 'one', imageDirectory: build });
  assert.equal(board.running, false);
  await board.start();
  const { line } = await board.serial.waitFor('guest ready', { timeoutMs: 10_000 });
  assert.ok(Math.abs(line.at.getTime() - Date.now()) < 10_000);
  await board.serial.write('hello 42\n');
  const { match } = await board.serial.waitFor(/hello (\d+)/, { timeoutMs: 10_000 });
  assert.equal(match[1], '42');
  assert.match(await readFile(board.serial.logPath, 'utf8'), /^\d{4}-\d\d-\d\dT[\d:.]{12}Z guest ready\n/);
  const waiting = board.serial.waitFor('never said', { timeoutMs: 60_000 });
  const outcome = assert.rejects(waiting, failsWith('lab/board-stopped', /hello 42/));
  await board.powerOff();
  await outcome;
  assert.equal(board.running, false);
});

test('a board that runs cannot be started again, and is found by its folder', async () => {
  await using board = await createBoard({ directory: join(work, 'two'), name: 'two', imageDirectory: build });
  await board.start();
  const other = await openBoard(board.directory);
  assert.equal(other.running, true);
  await assert.rejects(other.start(), failsWith('lab/board-running', /two is running already/));
  await other.serial.waitFor('guest ready', { timeoutMs: 10_000 });
  await other.powerOff();
  assert.equal(board.running, false);
});

async function make(name: string): Promise<Board> {
  return await createBoard({ directory: join(work, name), name, imageDirectory: build });
}

const ready = { timeoutMs: 10_000 };

test('a wait that comes to its deadline, or is aborted, says what the console showed', async () => {
  await using board = await make('late');
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  await assert.rejects(
    board.serial.waitFor(/x+y/, { timeoutMs: 60 }),
    failsWith('lab/deadline', /x\+y.*0\.06 s.*guest ready/s),
  );
  const signal = AbortSignal.timeout(30);
  await assert.rejects(board.serial.waitFor('never', { signal }), { name: 'TimeoutError' });
  board.serial.rewind();
  await board.serial.waitFor('guest ready', ready);
});

test('waiting walks forward, also within a line that is not finished', async () => {
  await using board = await make('prompt');
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  await board.serial.write('login: ');
  await board.serial.waitFor('login: ', ready);
  await board.serial.write('login: again\n');
  const { match } = await board.serial.waitFor(/login: (\w+)/, ready);
  assert.equal(match[1], 'again');
  assert.deepEqual(
    (await board.serial.lines()).map((line) => line.text),
    ['guest ready', 'login: login: again'],
  );
});

test('a reset starts the guest again on the same log; the next power-on has a new one', async () => {
  await using board = await make('reset');
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  await board.reset();
  await board.serial.waitFor('guest ready', ready);
  assert.equal((await board.serial.lines()).length, 2);
  await board.powerOff();
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  assert.equal((await board.serial.lines()).length, 1);
  assert.match(await readFile(join(board.directory, 'serial.previous.log'), 'utf8'), /ready\n.*ready\n/);
});

test('a guest that switches itself off, and one that ignores the power button', async () => {
  await using board = await make('button');
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  await board.serial.write('O');
  await board.waitForOff({ timeoutMs: 10_000 });
  assert.equal(board.running, false);
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  assert.equal(await board.quit({ timeoutMs: 200 }), false);
  assert.equal(board.running, false);
  assert.equal(await board.quit(), true, 'a board that is off');
});

test('the clock is the host’s, or starts in 1970', async () => {
  await using board = await make('clock');
  const seconds = async (clock: 'host' | '1970'): Promise<number> => {
    await board.start({ clock });
    await board.serial.waitFor('guest ready', ready);
    await board.serial.write('T');
    const { match } = await board.serial.waitFor(/[0-9a-f]{16}/, ready);
    await board.powerOff();
    return Number.parseInt(match[0], 16);
  };
  assert.ok(Math.abs((await seconds('host')) - Date.now() / 1000) < 60);
  assert.ok((await seconds('1970')) < 60);
});

test('the network is pulled and plugged in while the board runs, and ports lead to the guest', async () => {
  await using board = await make('network');
  await board.start({ ports: [{ guest: 8080, host: 0 }] });
  const ports = [board.hostPort(22), board.hostPort(8080)];
  assert.ok(ports.every((port) => port > 1023) && ports[0] !== ports[1], String(ports));
  assert.throws(() => board.hostPort(99), failsWith('lab/no-forward'));
  await board.network.down();
  await board.network.up();
  // The guest has no SSH server: every attempt is refused until the deadline.
  await assert.rejects(board.ssh('true', { timeoutMs: 1500 }), failsWith('lab/deadline'));
  await board.powerOff();
  await assert.rejects(board.network.down(), failsWith('lab/board-stopped'));
  await assert.rejects(board.ssh('true'), failsWith('lab/board-stopped'));
});

test('a port that is taken is the emulator’s error, in its words', async () => {
  await using first = await make('port-1');
  await using second = await make('port-2');
  await first.start();
  const ports = [{ guest: 80, host: first.hostPort(22) }];
  await assert.rejects(
    second.start({ ports }),
    failsWith('lab/emulator-failed', /Could not set up host forwarding/),
  );
  assert.equal(second.running, false);
  await second.start();
});

test('the console shows what was said before, passes keys on, and ends at Ctrl-]', async () => {
  await using board = await make('console');
  await board.start();
  await board.serial.waitFor('guest ready', ready);
  const input = new PassThrough();
  const output = new PassThrough();
  const attached = attachConsole(board, { input, output });
  input.write('typed\n');
  await board.serial.waitFor('typed', ready);
  input.write('more\u001dlost');
  assert.equal(await attached, 'escaped');
  await board.serial.waitFor('more', ready);
  const second = attachConsole(board, { input: new PassThrough(), output });
  await board.powerOff();
  assert.equal(await second, 'stopped');
  output.end();
  const shown = await text(output);
  assert.match(shown, /^guest ready\ntyped\n/);
  assert.doesNotMatch(shown, /lost/);
});

test('a board that is killed or loses its parent leaves nothing running; a detached one stays', async () => {
  const board = await make('orphan');
  const program = fileURLToPath(new URL('./testing/attached-board.ts', import.meta.url));
  for (const mode of ['attached', 'detached']) {
    const parent = spawn(process.execPath, [program, board.directory, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
    const run = JSON.parse(chunk.toString()) as RunState;
    assert.ok(isAlive(run.process));
    if (mode === 'attached') {
      parent.kill('SIGKILL');
      assert.ok(await waitForExit(run.process, 5000), 'the emulator outlives its parent');
      assert.ok(
        run.hub !== undefined && (await waitForExit(run.hub, 5000)),
        'the console process outlives the emulator',
      );
      assert.equal(board.running, false);
    } else {
      await once(parent, 'exit');
      assert.equal(board.running, true);
      await board.serial.waitFor('guest ready', ready);
      await board.powerOff();
      assert.ok(!isAlive(run.process) && run.hub !== undefined && !isAlive(run.hub));
      await assert.rejects(stat(run.directory), { code: 'ENOENT' });
    }
  }
});

test('a start that is aborted, or has no emulator, leaves nothing', async () => {
  const board = await make('aborted');
  await assert.rejects(board.start({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(board.start({ signal: AbortSignal.timeout(40) }), { name: 'TimeoutError' });
  assert.equal(board.running, false);
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  try {
    await assert.rejects(board.start(), {
      code: 'lab/tool-missing',
      remedy: /apt-get install qemu-system-arm/,
    });
  } finally {
    process.env.PATH = path;
  }
});

const factory = factoryFor(
  { ports: { http: 1, est: 2, lwm2m: 3 } },
  { endpointName: 'mbl-board-1', enrolmentCode: 'once', host: '10.0.2.2', trust: 'for nobody to read' },
);

test('a board gets its factory partition, and its clone has the same', async () => {
  const board = await createBoard({
    directory: join(work, 'made'),
    name: 'made',
    imageDirectory: build,
    factory,
    factoryFiles: { extra: 'more' },
  });
  const packed = await board.readPart('factory');
  assert.equal(packed.readUInt32LE(1024), 0xe0f5e1e2, 'an erofs superblock');
  const image = join(work, 'factory.erofs');
  await writeFile(image, packed);
  const listed = await runCommand('dump.erofs', ['--ls', '--path=/', image], {
    debianPackage: 'erofs-utils',
  });
  assert.match(listed.stdout, /authorized_keys/, listed.stderr);
  assert.match(listed.stdout, /factory\.json/);
  assert.match(listed.stdout, /extra/);
  assert.ok(packed.includes('"endpointName": "mbl-board-1"'));

  await board.writePart('data', Buffer.from('identity'));
  const clone = await cloneBoard(board, 'clone');
  assert.equal(clone.name, 'clone');
  assert.equal((await clone.readPart('data', { length: 8 })).toString(), 'identity');
  assert.ok((await clone.readPart('factory')).equals(packed));
  assert.equal(clone.file.ssh.key, join(work, 'clone', 'ssh_key'));
  await using running = clone;
  await running.start();
  await assert.rejects(cloneBoard(clone, 'third'), failsWith('lab/board-running'));
});

test('a new build replaces what is signed and keeps what is the board’s', async () => {
  const board = await make('reflashed');
  await board.writePart('data', Buffer.from('my data'));
  await board.writePart('root_a', Buffer.from('old'));
  const next = join(work, 'next');
  await cp(build, next, { recursive: true });
  const description = JSON.parse(await readFile(join(next, 'image.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(next, 'image.json'), JSON.stringify({ ...description, buildId: 'fedcba9876543210' }));
  const reflashed = await reflashBoard(board, next);
  assert.equal(reflashed.file.buildId, 'fedcba9876543210');
  assert.equal(reflashed.image.buildId, 'fedcba9876543210');
  assert.equal((await reflashed.readPart('data', { length: 7 })).toString(), 'my data');
  assert.equal((await reflashed.readPart('root_a', { length: 21 })).toString(), 'first bytes of root_a');
  await writeFile(join(next, 'image.json'), JSON.stringify({ ...description, machine: 'other' }));
  await assert.rejects(reflashBoard(reflashed, next), failsWith('lab/layout-changed'));
});

test('what cannot become a board is refused, and nothing is left', async () => {
  const directory = join(work, 'refused');
  const options = { directory, name: 'refused', imageDirectory: build };
  await assert.rejects(createBoard({ ...options, imageDirectory: work }), failsWith('lab/unknown-image'));
  await assert.rejects(createBoard({ ...options, name: '../up' }), failsWith('lab/board-name'));
  await assert.rejects(openBoard(directory), failsWith('lab/unknown-board'));
  const factoryFiles = { big: new Uint8Array(2 * 1024 * 1024).fill(1) };
  await assert.rejects(
    createBoard({ ...options, factory, factoryFiles }),
    failsWith('factory/too-large', /partition has 1048576/),
  );
  await assert.rejects(stat(directory), { code: 'ENOENT' });
  await assert.rejects(stat(`${directory}.partial`), { code: 'ENOENT' });
  await createBoard(options);
  await assert.rejects(createBoard(options), failsWith('lab/board-exists'));
  await writeFile(join(directory, 'board.json'), '{}');
  await assert.rejects(openBoard(directory), failsWith('lab/board-invalid'));
});

test('a board is made anew or removed while it is off, and only then', async () => {
  const board = await make('removed');
  await board.writePart('data', Buffer.from('my data'));
  const options = { directory: board.directory, name: 'removed', imageDirectory: build, replace: true };
  await assert.rejects(
    createBoard({ ...options, factory, factoryFiles: { big: new Uint8Array(2 << 20) } }),
    failsWith('factory/too-large'),
  );
  assert.equal((await board.readPart('data', { length: 7 })).toString(), 'my data', 'still the old one');
  {
    await using running = await openBoard(board.directory);
    await running.start();
    await assert.rejects(removeBoard(board.directory), failsWith('lab/board-running'));
    await assert.rejects(createBoard(options), failsWith('lab/board-running'));
  }
  const fresh = await createBoard(options);
  assert.notEqual((await fresh.readPart('data', { length: 7 })).toString(), 'my data');
  await writeFile(join(board.directory, 'board.json'), '{}');
  await removeBoard(board.directory);
  await assert.rejects(stat(board.directory), { code: 'ENOENT' });
  await assert.rejects(removeBoard(board.directory), failsWith('lab/unknown-board'));
});
