// SPDX-License-Identifier: Apache-2.0
import type { Board } from '@mbl/lab';
import { must, put } from '../../tests/support/apps/team.ts';
import { median, type Row } from '../support.ts';

const byHand = 'bench-by-hand';

/**
 * Starts of an app by its unit, and by one that a person would write for the same container: the same bundle and limits, a root file system that is
 * mounted already. Both take turns.
 */
export async function starts(board: Board, app: string, runs: number): Promise<Row[]> {
  const unit = `mbl-app-${app}`;
  await must(
    board,
    [
      'mkdir -p /run/bench/rootfs',
      `sed 's|"path":"rootfs"|"path":"/run/bench/rootfs"|' /run/mbl/apps/${app}/config.json >/run/bench/config.json`,
      'grep -q /run/bench/rootfs /run/bench/config.json',
      `set -- $(sed -n 's/^ExecStart=.* app mount //p' /run/systemd/system/${unit}.service)`,
      '/usr/lib/mbl/mbl-native app mount $1 $2 /run/bench/rootfs $4 $5',
    ].join(' && '),
  );
  const limits = await must(
    board,
    `grep -E '^(Slice|Memory|Tasks|CPU|IO|OOM|DevicePolicy|LogRate|KillMode|KillSignal)' /run/systemd/system/${unit}.service`,
  );
  await put(
    board,
    `/run/systemd/system/${byHand}.service`,
    [
      '[Service]',
      'Type=forking',
      'PIDFile=/run/bench/pid',
      `ExecStart=/usr/bin/crun --cgroup-manager=disabled run --detach --pid-file /run/bench/pid --bundle /run/bench ${byHand}`,
      `ExecStopPost=-/usr/bin/crun delete --force ${byHand}`,
      limits,
      '',
    ].join('\n'),
  );
  await must(board, `systemctl daemon-reload && systemctl stop ${unit}`);
  const ours: Start[] = [];
  const theirs: Start[] = [];
  // The first of each reads from the disk.
  for (let run = -1; run < runs; run++) {
    const pair = [await start(board, unit), await start(board, byHand)] as const;
    if (run < 0) continue;
    ours.push(pair[0]);
    theirs.push(pair[1]);
  }
  await must(board, `umount /run/bench/rootfs && systemctl start ${unit}`);
  const of = (all: readonly Start[], what: keyof Start) => median(all.map((one) => one[what]));
  const beside = (what: keyof Start) => (100 * of(ours, what)) / of(theirs, what);
  return [
    { name: 'start of an app, systemctl start to active', value: of(ours, 'command'), unit: 'ms' },
    { name: '  by a unit written by hand', value: of(theirs, 'command'), unit: 'ms' },
    { name: '  beside it', value: beside('command'), unit: '%', budget: 130 },
    { name: '  without the time of systemctl itself', value: of(ours, 'unit'), unit: 'ms' },
    { name: '  by a unit written by hand', value: of(theirs, 'unit'), unit: 'ms' },
    { name: '  beside it', value: beside('unit'), unit: '%' },
  ];
}

/** Milliseconds until `systemctl start` returns, and until the unit is active by systemd's own times. */
interface Start {
  readonly command: number;
  readonly unit: number;
}

async function start(board: Board, unit: string): Promise<Start> {
  const shown = await must(
    board,
    `a=$(date +%s%N); systemctl start ${unit} || exit; b=$(date +%s%N); echo $((b - a)); systemctl show -p InactiveExitTimestampMonotonic -p ActiveEnterTimestampMonotonic ${unit}; systemctl stop ${unit}`,
  );
  const time = (name: string) => Number(new RegExp(`${name}=(\\d+)`).exec(shown)?.[1]);
  return {
    command: Number.parseInt(shown, 10) / 1e6,
    unit: (time('ActiveEnterTimestampMonotonic') - time('InactiveExitTimestampMonotonic')) / 1000,
  };
}

const node = 'bench-node';

/** The app manager when the board started with an app, beside a Node that does nothing. */
export async function managerAtStart(board: Board, runs: number): Promise<Row[]> {
  const program = '/usr/bin/node --disable-warning=ExperimentalWarning';
  await put(
    board,
    `/run/systemd/system/${node}.service`,
    `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=${program} -e 0\n`,
  );
  await must(board, 'systemctl daemon-reload');
  const own = await spent(board, 'mbl-apps');
  const app = await must(board, 'systemctl show -P ActiveEnterTimestampMonotonic mbl-app-first');
  const all: Spent[] = [];
  const reloads: number[] = [];
  for (let run = 0; run < Math.min(runs, 5); run++) {
    const reload = 'a=$(date +%s%N); systemctl daemon-reload; b=$(date +%s%N); echo $((b - a))';
    reloads.push(Number(await must(board, reload)) / 1e6);
    await must(board, `systemctl start ${node}`);
    all.push(await spent(board, node));
    await must(board, `systemctl stop ${node}`);
  }
  const of = (what: keyof Spent) => median(all.map((one) => one[what]));
  return [
    { name: 'app manager at a start of the board, CPU', value: own.cpu, unit: 'ms' },
    { name: '  of it: Node that does nothing', value: of('cpu'), unit: 'ms' },
    { name: '  time, while the board starts', value: own.time, unit: 'ms' },
    { name: '  Node that does nothing, on an idle board', value: of('time'), unit: 'ms' },
    { name: '  a reload of units by systemd, as it asks for', value: median(reloads), unit: 'ms' },
    { name: '  memory at most', value: own.memory, unit: 'MB' },
    { name: 'kernel started to app active', value: Number(app) / 1e6, unit: 's' },
  ];
}

interface Spent {
  readonly cpu: number;
  readonly time: number;
  readonly memory: number;
}

/** By systemd, of a unit whose program ended: milliseconds, megabytes. */
async function spent(board: Board, unit: string): Promise<Spent> {
  const shown = await must(
    board,
    `systemctl show -p CPUUsageNSec -p ExecMainStartTimestampMonotonic -p ExecMainExitTimestampMonotonic -p MemoryPeak ${unit}`,
  );
  const value = (name: string) => Number(new RegExp(`^${name}=(\\d+)`, 'm').exec(shown)?.[1]);
  return {
    cpu: value('CPUUsageNSec') / 1e6,
    time: (value('ExecMainExitTimestampMonotonic') - value('ExecMainStartTimestampMonotonic')) / 1000,
    memory: value('MemoryPeak') / 1e6,
  };
}
