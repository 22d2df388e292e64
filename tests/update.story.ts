// SPDX-License-Identifier: Apache-2.0
//
// A board gets a new version over the air: from any web server, verified by itself, on trial until it proves good; and back by itself where
// it does not. All that it writes meanwhile is recorded: what a power cut at any moment leaves is judged by docs/decisions/0024.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findWorkspace } from '@mbl/cli';
import { readImage, type Release } from '@mbl/formats';
import { type Board, positionAt, type WriteLog } from '@mbl/lab';
import { loadKeys } from '@mbl/trust';
import type { SignedFirmware } from './support/bank-choice.ts';
import { readBootStates } from './support/boot-state.ts';
import { noteNotFlushed, slotNotFlushed } from './support/careless.ts';
import { ownFirmware } from './support/firmware.ts';
import { imageWithFirmware } from './support/image-with-firmware.ts';
import { mblJson } from './support/mbl.ts';
import { Mirror } from './support/mirror.ts';
import { OfflineBoard, type SystemVersion } from './support/offline-board.ts';
import { careless, RecordedFlash } from './support/recorded-flash.ts';
import { bootStateWrites, type CrashRange, UpdateStates } from './support/update-states.ts';
import { flashesOf, judge, milestonesOf, type RecordedUpdates } from './support/update-verdict.ts';
import { UpdatedBoard } from './support/updated-board.ts';
import { bootTimeoutMs, imageOf, offline, online, openWorld, until, type World } from './support/world.ts';

const patience = { timeoutMs: bootTimeoutMs };
const limit = 1_800_000;
const name = 'updated';
const recorded: RecordedUpdates = {
  before: '1.0',
  good: '1.1',
  sick: '1.2',
  index: 1,
  reason: /10-sensor.*no sensor answers/,
  counters: {
    '1.0': { trusted: 0, nonTrusted: 0 },
    '1.1': { trusted: 1, nonTrusted: 2 },
    '1.2': { trusted: 2, nonTrusted: 3 },
    '1.3': { trusted: 1, nonTrusted: 2 },
  },
};
/** Of so many contents of the configuration partition the states are judged; `MBL_UPDATE_STATES=all` takes minutes. */
const configurations = Number((process.env['MBL_UPDATE_STATES'] ?? '60').replace('all', 'Infinity'));
/** How many states are booted, and how often the power of a running update is cut, in a whole run each second time: 30 and 10 for a release. */
const boots = Number(process.env['MBL_UPDATE_BOOTS'] ?? 0);
const cuts = Number(process.env['MBL_UPDATE_CUTS'] ?? process.env['MBL_TEST_TURN'] ?? 1);

/** For who reads the story's output: counts and times. */
const say = (line: string): void => void process.stdout.write(`      ${line}\n`);

describe('a board', { timeout: limit }, () => {
  const stack = new AsyncDisposableStack();
  let world: World;
  let board: Board;
  let updated: UpdatedBoard;
  let repository = '';
  let mirror: Mirror;
  const builds = new Map<string, string>();
  const systems: SystemVersion[] = [];
  /** Each version has a boot firmware of its own. */
  const firmwares: SignedFirmware[] = [];
  let log: WriteLog;
  /** When the first update was ordered, and how long a whole one takes, from the order to the proof, in milliseconds. */
  let ordered = new Date();
  let whole = 0;
  /** The most that the boot firmware of a release needs to come. */
  let firmwareBytes = 0;

  before(async () => {
    world = stack.use(await openWorld());
    repository = join(world.directory, 'repository');
    mirror = stack.use(await Mirror.serve(repository));
    const layer = await versions(join(world.directory, 'versions'));
    board = await world.board(name);
    await release('1.0', await imageOf('development'), 0);
    for (const [version, image, index] of [
      ['1.1', 'next', 1],
      ['1.2', 'sick', 2],
    ] as const) {
      const built = await mblJson<{ directory: string }>(['build', '--image', image, '--layer', layer], {
        timeout: limit,
      });
      await release(version, built.directory, index);
    }
    // The same system as 1.0, for a board that has accepted 1.1.
    await release('1.3', await imageOf('development'), 1);
    await board.start({ recordWrites: true });
    updated = await UpdatedBoard.ready(world, board, mirror);
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

  async function release(version: string, built: string, rollbackIndex: number): Promise<void> {
    const image = await withFirmware(version, built);
    const options = ['--rollback-index', String(rollbackIndex), '--level', '3', '--repository', repository];
    const { release: made } = await mblJson<{ release: Release }>(
      ['release', 'create', version, image, ...options],
      { timeout: limit },
    );
    await mblJson(['release', 'sign', '--repository', repository], { timeout: limit });
    const description = await readImage(image);
    assert.ok(description !== undefined);
    builds.set(version, description.buildId);
    const part = (component: string, partition: string) => ({
      path: join(image, 'disk.img'),
      offset: description.disk.partitions.find((one) => one.name === partition)?.offset ?? 0,
      size: made.images[0]?.components.find((one) => one.name === component)?.size ?? 0,
    });
    systems.push({
      version,
      image: description,
      fit: part('kernel', 'boot_a'),
      root: part('root', 'root_a'),
      checks: join(world.directory, 'versions', version === '1.2' ? 'sick' : 'next', 'etc/mbl/health.d'),
    });
    const fip = made.images[0]?.components.find((one) => one.name === 'boot-firmware');
    const flash = await readFile(join(image, description.flash.file));
    const path = join(world.directory, `firmware-${version}`);
    const { offset = 0 } = description.flash.parts['bank_a'] ?? {};
    await writeFile(path, flash.subarray(offset, offset + (fip?.size ?? 0)));
    firmwares.push({ version, path, counters: countersOf(version) });
    firmwareBytes = Math.max(firmwareBytes, fip?.payload?.size ?? 0);
  }

  const countersOf = (version: string) => recorded.counters[version] ?? { trusted: 0, nonTrusted: 0 };

  /** The folder of an image that has the boot firmware of that version: of the first one what the board is made with. */
  async function withFirmware(version: string, built: string): Promise<string> {
    if (version === recorded.before) return built;
    const keys = await loadKeys(join(findWorkspace().state, 'keys'));
    const other = (uBoot: Buffer) => Buffer.concat([uBoot, Buffer.from(version)]);
    const folder = join(world.directory, `image-${version}`);
    const fip = await ownFirmware(board, keys, other, countersOf(version));
    await imageWithFirmware(built, folder, { version, fip });
    return folder;
  }

  /** The version runs, in that slot, and is the one to start from now on. */
  async function runs(version: string, slot: 'a' | 'b'): Promise<void> {
    await updated.proved();
    assert.equal(await updated.value('/33400/0/0'), slot);
    assert.match(String(await updated.value('/3/0/19')), new RegExp(` ${builds.get(version)}$`));
    assert.equal((await online(world.client, name)).id, updated.id, 'the same device');
  }

  test('takes nothing from a mirror that lies', async () => {
    ordered = new Date();
    mirror.flipped = 'root.payload';
    await updated.order('1.1');
    await updated.says(0, 5);
    assert.equal(await updated.value('/33401/0/2'), 'update/mirror-mismatch');
    assert.ok(
      String(await updated.value('/33401/0/1')).includes(mirror.url),
      'the mirror that lied is named',
    );
    mirror.flipped = undefined;
    await assert.rejects(updated.start(), /4\.05/);
    mirror.lie = (path, response) => {
      if (!path.endsWith('/timestamp.json')) return false;
      response.end('{"signatures":[],"signed":{}}');
      return true;
    };
    await updated.order('1.1');
    await updated.says(0, 5);
    mirror.lie = undefined;
  });

  test('goes to the new version, on trial, and keeps it', async () => {
    const start = performance.now();
    await updated.install('1.1');
    await board.serial.waitFor(/mbl-health.*slot b is healthy/, patience);
    await runs('1.1', 'b');
    await updated.says(0, 1);
    whole = performance.now() - start;
  });

  test('goes back from a version whose own check is not content, and says why', async () => {
    mirror.given = 0;
    await updated.install('1.2');
    // Both slots have nearly all of it; the bank that runs is no source.
    assert.ok(mirror.given < firmwareBytes + 500_000, `${mirror.given} bytes came from the mirror`);
    await board.serial.waitFor(
      /mbl-health.*slot a goes back: the check 10-sensor ended with 3: no sensor answers/,
      patience,
    );
    await board.serial.waitFor(/MBL: trying boot_b/, patience);
    await runs('1.1', 'b');
    await updated.says(0, 8);
    assert.match(String(await updated.value('/33401/0/1')), /10-sensor.*no sensor answers/);
    await board.powerOff();
    assert.ok((await readBootStates(board)).some((text) => /^MBL-BOOT 1 \d+ b b /.test(text)));
  });

  const openFlash = async () =>
    await RecordedFlash.open(board, log, join(world.directory, 'flash'), firmwares);

  test('no power cut leaves the flash without a firmware that starts, or makes it forget a counter', async () => {
    log = await board.writeLog();
    await using flash = await openFlash();
    const start = performance.now();
    const { bad, states, contents } = await flash.verdict();
    const seconds = () => ((performance.now() - start) / 1000).toFixed(0);
    say(
      `${flash.commands.length} commands to the flash, ${states} states of ${contents} kinds in ${seconds()} s`,
    );
    assert.deepEqual(bad.slice(0, 10), [], `${bad.length} bad`);
    for (const [name, commands] of Object.entries(flash.wrongOrders()))
      assert.ok((await flash.verdictOf(commands)).bad.length > 0, name);
    for (const name of Object.keys(careless)) assert.ok((await flash.verdictWith(name)).bad.length > 0, name);
    say(`with what must be found: ${seconds()} s`);
  });

  test('no power cut leaves it without a whole version, or makes it forget one', async () => {
    assert.equal(log.cut, false);
    const writes = await bootStateWrites(board, log);
    const milestones = milestonesOf(writes);
    await using flash = await openFlash();
    const offlineBoard = await OfflineBoard.open(
      join(world.directory, 'offline'),
      systems.slice(0, 3),
      flash.choice,
    );
    const open = async (range: Partial<CrashRange>) =>
      await UpdateStates.open(board, join(world.directory, 'states'), systems.slice(0, 3), {
        since: positionAt(log, ordered),
        ...range,
      });
    const start = performance.now();
    await using states = await open({});
    const verdict = await judge(states, flash, offlineBoard, milestones, recorded, configurations);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    say(`${verdict.states} of ${states.judged.length} states in ${seconds} s: ${JSON.stringify(verdict)}`);
    say(`left out: ${JSON.stringify(states.states.leftOut)}`);
    assert.deepEqual(verdict.bad.slice(0, 10), [], `${verdict.bad.length} bad`);
    for (const end of [
      /^1\.0 in a .* none$/,
      /^1\.1 in b .* confirmed 1\.1$/,
      /^1\.1 in b .* fell-back 1\.2$/,
    ])
      assert.ok(
        Object.keys(verdict.ends).some((one) => end.test(one)),
        String(end),
      );
    // What a device would leave that does not wait for the disk is found.
    const { tryGood } = milestones;
    for (const [unwaited, complaint] of [
      [slotNotFlushed, /^torn: slot b/],
      [noteNotFlushed, /^1\.1 was accepted, and the index is 0/],
    ] as const) {
      const since = tryGood.issued;
      const before = tryGood.durable + 60;
      await using worse = await open({
        ...{ since, before, subsets: 2, like: states },
        log: unwaited(board, log, tryGood),
      });
      const { bad } = await judge(worse, flash, offlineBoard, milestones, recorded, 40);
      assert.ok(
        bad.some((one) => complaint.test(one)),
        `${unwaited.name}: ${bad.length} bad`,
      );
    }
    // And what it would that accepts the firmware before its system.
    const hasty = await flash.confirmedBefore(milestones.confirmGood.issued);
    await using trial = await open({
      ...{ since: milestones.confirmGood.issued - 1, before: milestones.confirmGood.issued },
      ...{ subsets: 2, like: states },
    });
    const { bad } = await judge(trial, hasty, offlineBoard, milestones, recorded, 10);
    assert.ok(
      bad.some((one) => one.startsWith('mixed: 1.0 runs with the firmware of 1.1')),
      `a firmware that is accepted first: ${bad.length} bad`,
    );
  });

  /** Waits for it, and for a start that proved good: which version runs then, and in which slot. */
  async function comesBack(): Promise<{ version: string; slot: 'a' | 'b' }> {
    await board.start();
    await online(world.client, name);
    await updated.proved();
    const build = / ([0-9a-f]{16})$/.exec(String(await updated.value('/3/0/19')))?.[1];
    const slot = await updated.value('/33400/0/0');
    assert.ok(slot === 'a' || slot === 'b');
    // 1.0 and 1.3 are the same bytes.
    const [version] = [...builds].findLast(([, one]) => one === build) ?? [];
    assert.ok(version !== undefined && version !== '1.2', `${build} runs`);
    // 1.0 and 1.3 differ in their firmware.
    const digest = String(await updated.value('/33400/0/5'));
    const own = firmwares.filter(
      (one) => one.version === version || (version === '1.3' && one.version === '1.0'),
    );
    const digests = await Promise.all(
      own.map(async ({ path }) =>
        createHash('sha256')
          .update(await readFile(path))
          .digest('hex'),
      ),
    );
    assert.ok(digests.includes(digest), `${version} runs with the firmware ${digest}`);
    return { version, slot };
  }

  test('sampled states boot, and the power may go again while the next update is under way', {
    timeout: 36_000_000,
    skip: boots + cuts === 0 ? 'its turn is another one' : false,
  }, async () => {
    await using states = await board.crashStates({ since: positionAt(log, ordered) });
    await using flash = await openFlash();
    say(`${states.states.length} states of the whole disk; ${boots} booted, ${cuts} cuts`);
    let running = { version: '1.1', slot: 'b' as 'a' | 'b' };
    for (let boot = 0; boot < boots; boot++) {
      const state = states.states[Math.floor(((boot + 0.5) * states.states.length) / boots)];
      assert.ok(state !== undefined);
      await board.powerOff();
      await offline(world.client, name, 120_000);
      await board.restoreCrashState(states, state);
      const [meanwhile] = flashesOf(state, flash);
      for (const part of Object.keys(flash.file.parts) as (keyof typeof flash.file.parts)[])
        if (meanwhile !== undefined) await board.writePart(part, meanwhile.content[part]);
      running = await comesBack();
      say(`${running.version} in ${running.slot}: ${state.describe()}`);
    }
    for (let cut = 0; cut < cuts; cut++) {
      const wanted = running.version === '1.3' ? '1.1' : '1.3';
      const at = Math.random() * whole;
      if (!board.running) running = await comesBack();
      let lost = false;
      const update = updated.install(wanted, () => lost).catch(() => undefined);
      await sleep(at);
      lost = true;
      await board.powerOff();
      await update;
      await offline(world.client, name, 120_000);
      const was = running;
      running = await comesBack();
      say(
        `cut after ${(at / 1000).toFixed(0)} s of ${was.version} to ${wanted}: ${running.version} in ${running.slot}`,
      );
      assert.ok([was.version, wanted].includes(running.version));
      if (running.version === wanted) continue;
      // Where it had begun, the device goes on with it by itself.
      const rests = async () => [0, 2].includes(Number(await updated.value('/5/0/3')));
      await until('no update is under way', rests, bootTimeoutMs);
      await updated.install(wanted);
      await board.serial.waitFor(/mbl-health.*is healthy/, patience);
      running = { version: wanted, slot: running.slot === 'a' ? 'b' : 'a' };
      await runs(running.version, running.slot);
    }
    await board.powerOff();
  });
});
