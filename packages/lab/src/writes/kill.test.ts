// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { judgeLog, type Verdict, type Witness, writeUntilKilled } from '../testing/concurrent-writer.ts';
import { serveDisk } from '../testing/served-disk.ts';
import { enumerateCrashStates } from './crash-states.ts';
import { recordLength } from './log-format.ts';
import { Recorder } from './recorder.ts';
import { coveredBy, readWriteLog, type WriteLog } from './write-log.ts';

const kills = 200;
const diskSize = 256 * 1024;
const nothing: Verdict = { phantoms: [], lost: [], notDurable: [] };
let work = '';
before(async () => (work = await mkdtemp(join(tmpdir(), 'lab-kill-'))));
after(async () => await rm(work, { recursive: true, force: true }));

interface Killed {
  readonly log: WriteLog;
  readonly witness: Witness;
  readonly directory: string;
}

interface Recording {
  /** Resolves when the log is complete. */
  readonly ended: Promise<unknown>;
  readonly kill: () => void;
}

/** The recorder as a process of its own, as it is beside a board. */
async function recordApart(at: (file: string) => string): Promise<Recording> {
  const program = fileURLToPath(new URL('./record.ts', import.meta.url));
  const child = spawn(process.execPath, [program, at('in'), at('writes.log'), at('disk.img')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  return { ended, kill: () => child.kill('SIGKILL') };
}

/** The same here: a tenth of the time that a process takes to start. */
async function recordHere(at: (file: string) => string): Promise<Recording> {
  const recorder = new Recorder(new Map([['disk', at('disk.img')]]), at('writes.log'));
  await recorder.start(at('in'));
  return { ended: recorder.finished(), kill: () => {} };
}

/** QEMU writes for a client through a recorder; then one of the two is killed. */
async function killWhileWriting(
  name: string,
  milliseconds: number,
  {
    record = recordApart,
    victim = 'emulator',
  }: { record?: typeof recordApart; victim?: 'emulator' | 'recorder' } = {},
): Promise<Killed> {
  const directory = join(work, name);
  await mkdir(directory);
  const at = (file: string): string => join(directory, file);
  await writeFile(at('disk.img'), Buffer.alloc(diskSize));
  await writeFile(at('start.img'), Buffer.alloc(diskSize));
  const recording = await record(at);
  const server = { type: 'unix', path: at('in') };
  const { emulator, client } = await serveDisk(directory, { driver: 'nbd', server, export: 'disk' });
  const died = once(emulator, 'exit');
  const killed = setTimeout(
    () => (victim === 'emulator' ? emulator.kill('SIGKILL') : recording.kill()),
    milliseconds,
  );
  if (victim === 'recorder') void recording.ended.then(() => emulator.kill('SIGKILL'));
  const witness = await writeUntilKilled(client, 24, 2);
  clearTimeout(killed);
  await Promise.all([recording.ended, died]);
  return { log: await readWriteLog(at('writes.log')), witness, directory };
}

test(`after each of ${kills} kills of QEMU amid writes the log holds no phantom, lacks nothing and knows what a flush covered`, async (t) => {
  let [rounds, writes, flushes, flushed, underWay, late] = [0, 0, 0, 0, 0, 0];
  const lane = async (): Promise<void> => {
    while (rounds < kills) {
      const round = rounds++;
      const killed = await killWhileWriting(`round-${round}`, 10 + ((round * 17) % 60), {
        record: round % 10 === 0 ? recordApart : recordHere,
      });
      const { log, witness, directory } = killed;
      assert.deepEqual(await judgeLog(log, witness), nothing, `round ${round}`);
      assert.equal(log.cut, false);
      writes += witness.completed.size;
      flushes += witness.flushes;
      flushed += witness.flushed.size;
      underWay += witness.issued.length - witness.completed.size;
      for (const flush of log.requests.filter(({ operation }) => operation === 'flush')) {
        const { completed = log.records } = flush;
        const before = log.requests.filter(
          (one) => one.operation === 'write' && (one.completed ?? completed) < completed,
        );
        late += before.length - coveredBy(log, flush).length;
      }
      // The disk is what the log says: all of it, in the order of issue.
      if (round % 20 === 0) {
        await using states = await enumerateCrashStates(log, join(directory, 'start.img'), {
          subsets: 0,
          samples: 0,
          tears: 0,
        });
        const all = states.states.findLast(({ selection }) => selection.flipped.length === 0);
        await using copy = await states.open(join(directory, 'copy.img'));
        assert.ok(all !== undefined);
        await copy.show(all);
        assert.ok((await readFile(copy.path)).equals(await readFile(join(directory, 'disk.img'))));
      }
      await rm(directory, { recursive: true });
    }
  };
  // Both end before the first failure is told: nothing is left running.
  const lanes = await Promise.allSettled([lane(), lane()]);
  for (const one of lanes) if (one.status === 'rejected') throw one.reason;
  t.diagnostic(
    `${rounds} kills, ${writes} writes seen complete, ${underWay} under way; ${flushes} flushes cover ${flushed}; ${late} completed while a flush ran`,
  );
  assert.ok(writes > 100 * kills, 'hardly anything was written');
  assert.ok(late > 0, 'no write ran beside a flush, so nothing was asked');
});

test('a recorder that is killed leaves a log that ends where it was killed', async () => {
  for (let round = 0; round < 5; round++) {
    const { log, witness } = await killWhileWriting(`recorder-${round}`, 20 + round * 7, {
      victim: 'recorder',
    });
    const { phantoms, lost, notDurable } = await judgeLog(log, witness);
    assert.deepEqual({ phantoms, lost, notDurable }, nothing);
  }
});

test('the judge finds a phantom, a loss and a flush that covered nothing', async () => {
  let { log, witness } = await killWhileWriting('judge', 60);
  // On a busy machine nothing was flushed yet.
  for (let longer = 120; witness.flushed.size === 0 && longer < 60_000; longer *= 2)
    ({ log, witness } = await killWhileWriting(`judge-${longer}`, longer));
  assert.deepEqual(await judgeLog(log, witness), nothing);
  const write = log.requests.find(({ operation }) => operation === 'write');
  assert.ok(write !== undefined && witness.flushed.size > 0);
  const later = { ...witness, completed: new Set([...witness.completed, witness.issued.length]) };
  assert.deepEqual((await judgeLog(log, later)).lost, [witness.issued.length]);
  const moved = { ...log, requests: log.requests.with(write.id, { ...write, offset: write.offset + 512 }) };
  assert.deepEqual((await judgeLog(moved, witness)).phantoms, [write.issued]);
  const empty = { ...log, requests: log.requests.with(write.id, { ...write, length: 0 }) };
  assert.deepEqual((await judgeLog(empty, witness)).phantoms, [write.issued]);
  const unflushed = log.requests.map((one) =>
    one.operation === 'flush' ? { ...one, completed: undefined } : one,
  );
  assert.equal(
    (await judgeLog({ ...log, requests: unflushed }, witness)).notDurable.length,
    witness.flushed.size,
  );
  // One bit of the first write's data: the log ends before it.
  const bytes = await readFile(log.path);
  bytes[write.dataOffset + recordLength] = (bytes[write.dataOffset + recordLength] ?? 0) ^ 1;
  await writeFile(log.path, bytes);
  const cut = await readWriteLog(log.path);
  assert.equal(cut.cut, true);
  assert.equal(cut.requests.filter(({ operation }) => operation === 'write').length, 0);
  assert.equal((await judgeLog(cut, witness)).lost.length, witness.completed.size);
});
