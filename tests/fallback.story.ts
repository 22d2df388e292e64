// SPDX-License-Identifier: Apache-2.0
//
// A new version that is no good: its kernel panics, its init hangs, its client crashes, its network never comes. The board is back on the old
// one without a hand, says why, and does not try the new one again. tests/update.story.ts has the version whose own check is not content.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { buildCpio } from '@mbl/builder';
import { findWorkspace } from '@mbl/cli';
import { bootStateOffsets, chooseBootState, formatBootState } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { loadKeys } from '@mbl/trust';
import { repackFit } from './support/attacks.ts';
import { root, temporaryFolder } from './support/mbl.ts';
import { bootTimeoutMs, online, openWorld, until, type World } from './support/world.ts';

const patience = { timeoutMs: 3 * bootTimeoutMs };
const name = 'fallen';
/** Which of them; `MBL_FALLBACK=panic,hang,client,network` for a release. */
const chosen = (process.env['MBL_FALLBACK'] ?? 'panic').split(',');

interface Sick {
  readonly title: string;
  /** The script of the initramfs, as this version has it. All else of the version is as it is in the old one. */
  readonly init: (script: string) => string;
  /** What the board tells as the cause. */
  readonly cause: RegExp;
}

const start = 'exec switch_root /sysroot /usr/lib/systemd/systemd';
const dropIns = '/run/systemd/system';
/** The running system goes on with the /run of the initramfs: what is in it stands for what the root would have. */
const withFile = (script: string, path: string, text: string): string =>
  script.replace(
    'mount --move /dev /sysroot/dev',
    `mkdir -p ${path.slice(0, path.lastIndexOf('/'))}; echo '${text}' >${path}\n$&`,
  );
const hurried = (script: string): string =>
  withFile(
    script,
    `${dropIns}/mbl-health.service.d/limit.conf`,
    '[Service]\nEnvironment=MBL_HEALTH_LIMIT=20',
  );

const versions: Readonly<Record<string, Sick>> = {
  panic: {
    title: 'whose kernel panics',
    init: (script) => script.replace(start, 'exit 1'),
    cause: /^it did not come up in 3 starts: Kernel panic - not syncing: Attempted to kill init!/,
  },
  hang: {
    title: 'whose init hangs',
    init: (script) => script.replace(start, 'exec sleep 1000000'),
    cause: /^it did not come up in 3 starts$/,
  },
  client: {
    title: 'whose client crashes',
    init: (script) =>
      withFile(
        hurried(script),
        `${dropIns}/mbl-cloud-client.service.d/crash.conf`,
        '[Service]\nExecStart=\nExecStart=/usr/bin/node /nothing.mjs',
      ),
    cause: /^the device is not registered with its service: its client ended \d+ times?$/,
  },
  network: {
    title: 'whose network never comes',
    init: (script) =>
      withFile(hurried(script), '/run/NetworkManager/conf.d/none.conf', '[keyfile]\nunmanaged-devices=*'),
    cause: /^the device is not registered with its service: it has no network$/,
  },
};

describe('a board goes back from a version', { timeout: 3_600_000 }, () => {
  const stack = new AsyncDisposableStack();
  let world: World;
  let board: Board;
  let folder = '';
  let id = '';

  before(async () => {
    ({ path: folder } = stack.use(await temporaryFolder()));
    world = stack.use(await openWorld());
    board = await world.board(name);
    await board.start();
    ({ id } = await online(world.client, name));
  });
  after(async () => await stack.disposeAsync());

  const shell = async (command: string): Promise<void> => {
    const { code, stderr } = await board.ssh(command, patience);
    assert.equal(code, 0, stderr);
  };
  const value = async (path: string): Promise<unknown> =>
    (await world.client.read(id, path).catch(() => []))[0]?.value;

  /** Puts a version to slot b and has it start on trial, as the platform service does. The board is off afterwards. */
  async function putOnTrial(sick: Sick): Promise<void> {
    if (!board.running) await board.start();
    await online(world.client, name);
    await shell('systemctl start mbl-good-boot');
    const { rootHash } = board.image.root;
    const trial = JSON.stringify({ version: 1, slot: 'b', release: '1.1', rollbackIndex: 0, rootHash });
    await shell(
      `cd /config/update && rm -f *.json && echo '${trial}' >trial.json && chown mbl-platformd trial.json && sync`,
    );
    await board.powerOff();
    const script = await readFile(join(root, 'os/rootfs/initramfs/init'), 'utf8');
    const init = sick.init(script);
    assert.notEqual(init, script);
    const changed = zstdCompressSync(
      buildCpio([{ path: 'init', type: 'file', data: Buffer.from(init), executable: true }]),
    );
    const initramfs = Buffer.concat([await board.readPart('initramfs'), changed]);
    const keys = await loadKeys(join(findWorkspace().state, 'keys'));
    await board.writePart('boot_b', await repackFit(board, folder, keys.keys.fit, { initramfs }));
    await board.writePart('root_b', await board.readPart('root_a'));
    const { state, next } = chooseBootState(await board.readPart('state'));
    assert.deepEqual([state.first, state.tried, state.attempts.a], ['a', 'a', 0]);
    const tried = { ...state, sequence: state.sequence + 1, first: 'b', attempts: { a: 0, b: 0 } } as const;
    await board.writePart('state', formatBootState(tried), { offset: bootStateOffsets[next] });
  }

  for (const one of chosen) {
    const sick = versions[one];
    assert.ok(sick !== undefined, `no version ${one}`);
    test(sick.title, { timeout: 1_800_000 }, async () => {
      await putOnTrial(sick);
      const begin = performance.now();
      await board.start();
      await board.serial.waitFor('MBL: trying boot_b', patience);
      await board.serial.waitFor('MBL: trying boot_a', patience);
      const seconds = ((performance.now() - begin) / 1000).toFixed(0);
      await until('it is back', async () => (await value('/33400/0/0')) === 'a', patience.timeoutMs);
      await shell('systemctl start mbl-good-boot');
      await until('the end is told', async () => (await value('/5/0/5')) === 8, patience.timeoutMs);
      const cause = String(await value('/33401/0/1'));
      process.stdout.write(`      the old version started after ${seconds} s: ${cause}\n`);
      assert.match(cause, sick.cause);
      assert.equal(await value('/5/0/3'), 0, 'nothing is tried again');
      await shell('sync');
      await board.powerOff();
      const { state } = chooseBootState(await board.readPart('state'));
      assert.deepEqual([state.first, state.tried, state.attempts.a], ['a', 'a', 0]);
    });
  }
});
