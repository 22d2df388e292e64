// SPDX-License-Identifier: Apache-2.0
//
// What apps cost a board: their start beside a unit written by hand, their installation beside writing them, their memory and that of the device
// services, the way of a value to a subscriber of the service, the app manager at a start of the board. Development image; each figure beside a
// baseline of the same boot. MBL_BENCH_RUNS is the number of runs of each.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { findWorkspace, processCli, useTools } from '@mbl/cli';
import type { Board } from '@mbl/lab';
import { must, Team } from '../tests/support/apps/team.ts';
import { bootTimeoutMs, online, openWorld, until } from '../tests/support/world.ts';
import { installation } from './apps/installation.ts';
import { appMemory, serviceMemory, settled } from './apps/memory.ts';
import { managerAtStart, starts } from './apps/starts.ts';
import { values } from './apps/values.ts';
import { report, root } from './support.ts';

const runs = Number(process.env['MBL_BENCH_RUNS'] ?? 10);
const large = 50 << 20;
/** It builds the image where there is no such. */
await useTools(processCli(findWorkspace(process.env, root)));

await using world = await openWorld();
const team = new Team('bench', world.directory);
const ticker = { lines: ['limits: { memory: 16 MiB }'] };
const setter = {
  source: join(root, 'bench/apps/setter.c'),
  lines: [
    'permissions: { bus: { talk: [com.mbl.Cloud1] } }',
    'resources: [{ path: /3303/0/5700, type: float, operations: [read] }]',
  ],
};
await team.release('1.0', { first: ticker });
await team.release('1.1', { first: ticker, second: ticker, setter });
await team.release('1.2', { large: { files: { data: randomBytes(large) } } });

const board = await world.board('bench');
await board.start();
const { id } = await online(world.client, 'bench');

const without = await serviceMemory(board, world.client);
await bring('1.0');
await restart(board);
report(await managerAtStart(board, runs));
report(await starts(board, 'first', runs));

await bring('1.1');
await settled(board);
for (const app of ['first', 'second', 'setter']) report(await appMemory(board, app));
const withApps = await serviceMemory(board, world.client);
report([
  { name: 'device services with three apps (proportional set size)', value: withApps, unit: 'MB' },
  { name: '  more than without', value: withApps - without, unit: 'MB', budget: 10 },
]);
report(await values(board, world.client, id, runs * 3));

await bring('1.2');
report(await installation(board, team.built('1.2'), runs));

async function bring(release: string): Promise<void> {
  await team.bring(board, release);
  const status = await until(
    `${release} installed`,
    async () => {
      const found = await team.stands(board, 'running', 'refused', 'fell-back');
      return found.release === release && found;
    },
    bootTimeoutMs,
  );
  if (status.state !== 'running') throw new Error(`${release}: ${status.state} ${status.detail}`);
}

async function restart(of: Board): Promise<void> {
  const boot = 'cat /proc/sys/kernel/random/boot_id';
  const first = await must(of, boot);
  await of.ssh('systemctl reboot');
  await until(
    'another boot',
    async () => {
      const { code, stdout } = await of.ssh(boot).catch(() => ({ code: 255, stdout: '' }));
      return code === 0 && stdout.trim() !== first;
    },
    bootTimeoutMs,
  );
  await until(
    'the app',
    async () => (await of.ssh('systemctl is-active mbl-app-first')).code === 0,
    bootTimeoutMs,
  );
  await settled(of);
}
