// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Board } from '@mbl/lab';
import type { ServiceClient } from '@mbl/service';
import { must } from '../../tests/support/apps/team.ts';
import { online } from '../../tests/support/world.ts';
import { median, type Row } from '../support.ts';

const idleMs = 30_000;
const rounds = Math.min(3, Number(process.env['MBL_BENCH_RUNS'] ?? 3));
const services = ['mbl-cloud-client', 'mbl-platformd'];
const megabyte = 1e6;

/** Until what a start or an order left to be done is done. */
export async function settled(board: Board): Promise<void> {
  await must(board, 'systemctl is-system-running --wait || true');
  await sleep(idleMs);
}

/** Megabytes of the device services together when they idle: the median of some starts, because garbage is collected when it is. */
export async function serviceMemory(board: Board, client: ServiceClient): Promise<number> {
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await must(board, `systemctl restart ${services.join(' ')}`);
    await sleep(idleMs);
    await online(client, 'bench');
    const pids = `for unit in ${services.join(' ')}; do systemctl show -P MainPID $unit; done`;
    found.push(pss(await must(board, `for pid in $(${pids}); do cat /proc/$pid/smaps_rollup; done`)));
  }
  return median(found);
}

/** What the control group of an idle app has beyond the app's own processes. */
export async function appMemory(board: Board, app: string): Promise<Row[]> {
  const shown = await must(
    board,
    [
      `cd /sys/fs/cgroup$(systemctl show -P ControlGroup mbl-app-${app})`,
      'echo current $(cat memory.current)',
      'cat memory.stat',
      'for pid in $(cat cgroup.procs); do echo exe $(readlink /proc/$pid/exe); cat /proc/$pid/smaps_rollup; done',
    ].join('; '),
  );
  const bytes = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(shown)?.[1]);
  const own = pss(shown);
  const processes = [...shown.matchAll(/^exe (.*)$/gm)].map(([, path]) => path);
  return [
    {
      name: `idle app ${app}: memory beyond its process`,
      value: bytes('current') / megabyte - own,
      unit: 'MB',
      budget: 1.5,
    },
    { name: '  its process (proportional set size)', value: own * 1000, unit: 'kB' },
    { name: '  pages of files', value: bytes('file') / 1000, unit: 'kB' },
    { name: '  of the kernel', value: bytes('kernel') / 1000, unit: 'kB' },
    {
      name: '  processes beside its own',
      value: processes.filter((path) => path !== '/bin/ticker').length,
      unit: '',
      budget: 0,
    },
  ];
}

/** Megabytes, of one or more `smaps_rollup` (proc_pid_smaps(5)). */
function pss(text: string): number {
  let kilobytes = 0;
  for (const [, found] of text.matchAll(/^Pss:\s+(\d+) kB/gm)) kilobytes += Number(found) * 1.024;
  return kilobytes / 1000;
}
