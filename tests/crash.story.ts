// SPDX-License-Identifier: Apache-2.0
//
// Every state that a power cut may leave of a first boot, an enrolment, a setting and a renewal of the certificate: judged off line, and some
// of them booted. How the states come about: docs/decisions/0013-write-log.md
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { IdentityStore } from '@mbl/device';
import type { Board, CrashState, CrashStates } from '@mbl/lab';
import { positionAt, type WriteLog } from '@mbl/lab';
import { copyOf, extract, type FoundIdentity, readIdentity, recover } from './support/crashed-partition.ts';
import { root } from './support/mbl.ts';
import { bootTimeoutMs, offline, online, openWorld, type World } from './support/world.ts';

const run = promisify(execFile);
const name = 'crashed';
const lifetime = 4321;
/** Seconds. Two thirds of it are over when the device looks the second time, two minutes after it registered. */
const certificateLife = 180;
/** Of so many pending writes, and of fewer, every subset is taken. */
const subsets = 10;
/** How many states are booted; `MBL_CRASH_BOOTS=20` for a release. */
const boots = Number(process.env['MBL_CRASH_BOOTS'] ?? 1);

/** For who reads the story's output: counts and times. */
const say = (line: string): void => void process.stdout.write(`      ${line}\n`);

/** What was true, and seen from outside, from a moment on: whatever a later cut leaves must show it. */
interface Milestones {
  enrolled: Date;
  setting: Date;
  renewed: Date;
  soundTrial: Date;
  brokenTrial: Date;
}

describe('a power cut at any moment', { timeout: 3_000_000 }, () => {
  let world: World;
  let board: Board;
  let log: WriteLog;
  let first: string;
  let renewed: string;
  const at = {} as Milestones;

  before(async () => {
    world = await openWorld({ certificateLife });
    board = await world.board(name);
  });
  after(async () => await world[Symbol.asyncDispose]());

  /** The device's own identity store, bundled; or a copy of it that does not wait for the disk. */
  async function storeProgram(mutilated: boolean): Promise<string> {
    const entry = join(world.directory, 'trial.ts');
    const store = join(root, 'packages/device/src/cloud-client/identity.ts');
    await writeFile(
      entry,
      `import { IdentityStore } from ${JSON.stringify(store)};
await new IdentityStore(process.argv[2] ?? '', 'trial').createKey();
console.log('kept');`,
    );
    const { stdout } = await run('esbuild', [entry, '--bundle', '--platform=node', '--format=esm'], {
      cwd: root,
    });
    if (!mutilated) return stdout;
    const without = stdout.replace('O_CREAT | O_SYNC | O_TRUNC', 'O_CREAT | O_TRUNC');
    assert.notEqual(without, stdout, 'the copy is not mutilated');
    return without;
  }

  /** Has the store make a key in a folder of the board; when it said that the key is kept. */
  async function trial(folder: string, program: string): Promise<Date> {
    const place = `/config/trial/${folder}`;
    const put = await board.ssh(`mkdir -p ${place} && cat >/run/${folder}.mjs && sync`, { input: program });
    assert.equal(put.code, 0, put.stderr);
    const { stdout, stderr } = await board.ssh(`node /run/${folder}.mjs ${place}`);
    assert.equal(stdout, 'kept\n', stderr);
    return new Date();
  }

  test('a first boot is recorded, with an enrolment, a setting and a renewal', async () => {
    const says = async (pattern: RegExp): Promise<Date> =>
      (await board.serial.waitFor(pattern, { timeoutMs: bootTimeoutMs })).line.at;
    await board.start({ recordWrites: true });
    at.enrolled = await says(/mbl-cloud-client.* enrolled device=/);
    const { id, device_key } = await online(world.client, name);
    first = device_key ?? '';
    await world.client.write(id, '/1/0/1', lifetime);
    at.setting = new Date();
    at.soundTrial = await trial('sound', await storeProgram(false));
    at.brokenTrial = await trial('broken', await storeProgram(true));
    at.renewed = await says(/mbl-cloud-client.* renewed device=/);
    renewed = (await world.client.findDevice(name)).device_key ?? '';
    assert.notEqual(renewed, first);
    await board.powerOff();
    log = await board.writeLog();
    assert.equal(log.cut, false);
    const count = (operation: string): number =>
      log.requests.filter((one) => one.operation === operation).length;
    say(
      `${count('write')} writes, ${count('zero') + count('discard')} cleared ranges, ${count('flush')} flushes`,
    );
  });

  async function statesOf(partition: string): Promise<CrashStates> {
    const extent = board.image.disk.partitions.find((one) => one.name === partition);
    assert.ok(extent !== undefined);
    return await board.crashStates({ extent, subsets });
  }

  /** True when a cut that leaves the state may have come after `moment`. */
  const mayFollow = (state: CrashState, moment: Date): boolean => state.until > positionAt(log, moment);

  function complaint(state: CrashState, found: FoundIdentity): string | undefined {
    if (found.state === 'damaged') return `damaged: ${found.why}`;
    const known = [first, renewed];
    if (found.certificate !== undefined && !known.includes(found.certificate))
      return 'a certificate that nobody gave';
    if (mayFollow(state, at.enrolled) && found.state !== 'whole') return `enrolled, and then ${found.state}`;
    if (mayFollow(state, at.setting) && found.lifetime !== lifetime)
      return `the setting is ${found.lifetime}`;
    if (mayFollow(state, at.renewed) && found.certificate !== renewed)
      return 'renewed, and then the old certificate';
    return undefined;
  }

  test('every state of the configuration partition is whole, and loses nothing that was said to be kept', async () => {
    const start = performance.now();
    await using states = await statesOf('config');
    const bad: string[] = [];
    const lost = { sound: 0, broken: 0 };
    const outcomes = { new: 0, whole: 0, mended: 0, lost: 0 };
    const counts = { absent: 0, 'key only': 0, whole: 0, damaged: 0 };
    await using copy = await states.open(join(world.directory, 'config.img'));
    for (const state of states.states) {
      await copy.show(state);
      const image = await copyOf(copy.path);
      const outcome = await recover(image, 'config');
      outcomes[outcome] += 1;
      if (outcome === 'new' || outcome === 'lost') {
        if (mayFollow(state, at.enrolled)) bad.push(`${state.describe()}: enrolled, and then ${outcome}`);
        continue;
      }
      const found = await readIdentity(image, name, join(world.directory, 'found'));
      counts[found.state] += 1;
      const why = complaint(state, found);
      if (why !== undefined) bad.push(`${state.describe()}: ${why}`);
      for (const [folder, moment] of [
        ['sound', at.soundTrial],
        ['broken', at.brokenTrial],
      ] as const) {
        if (!mayFollow(state, moment)) continue;
        const into = join(world.directory, 'trial');
        await extract(image, `/trial/${folder}`, into);
        const { key } = await new IdentityStore(join(into, folder), 'trial').load();
        if (key === undefined) lost[folder] += 1;
      }
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(
      `${states.states.length} states of ${states.selections} selections, judged in ${seconds} s: file systems ${JSON.stringify(outcomes)}, identities ${JSON.stringify(counts)}, ${bad.length} bad`,
    );
    say(
      `left out: ${JSON.stringify(states.leftOut)}; lost by the store ${lost.sound}, by its copy without O_SYNC ${lost.broken}`,
    );
    assert.deepEqual(bad.slice(0, 10), [], `${bad.length} bad`);
    assert.ok(counts.whole > 0 && outcomes.new > 0 && counts['key only'] > 0, 'states of every kind');
    assert.equal(lost.sound, 0, 'the store said that a key is kept which is not');
    assert.ok(lost.broken > 0, 'a store that does not wait for the disk was not found out');
  });

  test('sampled states of the data partition are whole, or can be made so', async () => {
    await using states = await statesOf('data');
    const step = Math.max(1, Math.floor(states.states.length / 40));
    const outcomes = { new: 0, whole: 0, mended: 0, lost: 0 };
    await using copy = await states.open(join(world.directory, 'data.img'));
    for (const [index, state] of states.states.entries()) {
      if (index % step !== 0) continue;
      await copy.show(state);
      const outcome = await recover(await copyOf(copy.path), 'data');
      outcomes[outcome] += 1;
      // Only before anything can have been in it.
      if (outcome === 'lost') assert.ok(!mayFollow(state, at.enrolled), state.describe());
    }
    say(`${states.states.length} states, every ${step}th judged: ${JSON.stringify(outcomes)}`);
    assert.ok(outcomes.whole > 0);
  });

  test('sampled states of the whole disk boot, and the device is online', async () => {
    await using states = await board.crashStates({ subsets });
    say(`${states.states.length} states of ${states.selections} selections; ${boots} booted`);
    for (let boot = 0; boot < boots; boot++) {
      const state = states.states[Math.floor(((boot + 0.5) * states.states.length) / boots)];
      assert.ok(state !== undefined);
      await offline(world.client, name, 60_000);
      // The service went on: for it the code is used, the certificate renewed or ended. Its owner lets the device in again.
      await world.client.rearmEnrolment(name).catch(() => undefined);
      await board.restoreCrashState(states, state);
      const start = performance.now();
      await board.start();
      await online(world.client, name);
      say(`online after ${((performance.now() - start) / 1000).toFixed(0)} s: ${state.describe()}`);
      await board.powerOff();
    }
  });
});
