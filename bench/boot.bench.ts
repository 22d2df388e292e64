// SPDX-License-Identifier: Apache-2.0
//
// Budgets: warm `up` to a device online, power-on to registered, memory of the device services and of the whole guest. Development image.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { report, type Row, root, run, scratch } from './support.ts';

const name = 'bench';
const mbl = join(root, 'mbl');
await using state = await scratch();
const env = { MBL_STATE: state.path };
const keys = ['--keys', process.env['MBL_KEYS'] ?? join(root, '.mbl/keys')];
const rows: Row[] = [];
await run(mbl, ['build', ...keys], { env });
try {
  const up = await run(mbl, ['up', name, ...keys, '--json'], { env });
  const { board } = JSON.parse(up.stdout) as { board: { directory: string } };
  const phases = timesOf(await readFile(join(board.directory, 'serial.log'), 'utf8'));
  // What runs once after a boot has its time; then the guest idles.
  await sleep(30_000);
  const shell = async (command: string): Promise<string> =>
    (await run(mbl, ['shell', name, command], { env })).stdout;
  const units = ['mbl-cloud-client', 'mbl-platformd'];
  const rollups = await shell(
    `for unit in ${units.join(' ')}; do cat /proc/$(systemctl show -P MainPID $unit)/smaps_rollup; done`,
  );
  const services = sum(rollups, /^Pss:\s+(\d+) kB/gm);
  const memory = await shell('cat /proc/meminfo');
  const used = sum(memory, /^MemTotal:\s+(\d+)/gm) - sum(memory, /^MemAvailable:\s+(\d+)/gm);
  rows.push(
    { name: 'warm up to a device online', value: up.seconds, unit: 's', budget: 60 },
    { name: 'power-on to registered', value: phases.registered, unit: 's', budget: 30 },
    { name: '  of it: firmware, until the kernel starts', value: phases.kernel, unit: 's' },
    {
      name: '  of it: kernel and initramfs, until the root is open',
      value: phases.root - phases.kernel,
      unit: 's',
    },
    { name: '  of it: systemd, until the client starts', value: phases.client - phases.root, unit: 's' },
    { name: '  of it: key, enrolment, registration', value: phases.registered - phases.client, unit: 's' },
    {
      name: 'device services together (proportional set size)',
      value: services / 1000,
      unit: 'MB',
      budget: 110,
    },
    { name: 'guest memory in use at idle', value: used / 1000, unit: 'MB', budget: 220 },
  );
} finally {
  await run(mbl, ['down'], { env });
}
report(rows);

function timesOf(log: string): { kernel: number; root: number; client: number; registered: number } {
  const at = (pattern: RegExp): number => {
    const line = log.split('\n').find((text) => pattern.test(text));
    if (line === undefined) throw new Error(`the serial log has no line like ${pattern.source}`);
    return Date.parse(line.slice(0, line.indexOf(' '))) / 1000;
  };
  const start = at(/Booting Trusted Firmware/);
  return {
    kernel: at(/Starting kernel/) - start,
    root: at(/mbl-init: root file system/) - start,
    client: at(/mbl-cloud-client.*starting/) - start,
    registered: at(/mbl-cloud-client.*registered device=/) - start,
  };
}

/** Adds up what `pattern` finds, kB. */
function sum(text: string, pattern: RegExp): number {
  let total = 0;
  for (const [, kilobytes] of text.matchAll(pattern)) total += Number(kilobytes) * 1.024;
  return total;
}
