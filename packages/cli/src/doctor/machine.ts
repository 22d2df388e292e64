// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { formatSize } from '../table.ts';
import type { Workspace } from '../workspace.ts';
import { canListen, findService, servicePorts } from '../workbench/service.ts';
import type { Diagnosis } from './finding.ts';

/** A build with nothing cached, and a board: measured, with room to spare. */
const leastDisk = 8 * 2 ** 30;
/** A board takes 1 GiB; compilers and the service the rest. */
const leastMemory = 2 * 2 ** 30;

export function checkNode(): Diagnosis {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const good = major > 24 || (major === 24 && minor >= 15);
  return {
    what: 'Node',
    state: good ? 'good' : 'bad',
    found: process.version,
    ...(good ? {} : { remedy: 'Start the command as ./mbl: it brings the pinned Node.' }),
  };
}

export async function checkDisk(workspace: Workspace): Promise<Diagnosis[]> {
  const folders = [...new Set([workspace.state, workspace.cache])];
  return await Promise.all(
    folders.map(async (folder) => {
      const what = `disk at ${folder}`;
      try {
        await mkdir(folder, { recursive: true });
        const { bavail, bsize } = await statfs(folder);
        const free = bavail * bsize;
        const good = free >= leastDisk;
        const remedy = `A build from nothing and a board need ${formatSize(leastDisk)}: free some space, or set MBL_CACHE to a larger disk.`;
        return {
          what,
          state: good ? 'good' : 'warning',
          found: `${formatSize(free)} free`,
          ...(good ? {} : { remedy }),
        };
      } catch (error) {
        const found = error instanceof Error ? error.message : String(error);
        return { what, state: 'bad', found, remedy: 'Make the folder one that this user can write to.' };
      }
    }),
  );
}

export async function checkMemory(): Promise<Diagnosis> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const kibibytes = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN);
  const free = kibibytes * 1024;
  const good = free >= leastMemory;
  const found = `${Number.isNaN(free) ? 'unknown' : `${formatSize(free)} available`}, ${availableParallelism()} cores`;
  const remedy = `A board and a build need ${formatSize(leastMemory)}: stop boards (./mbl down) or other programs.`;
  return { what: 'memory', state: good ? 'good' : 'warning', found, ...(good ? {} : { remedy }) };
}

/** The service's own ports are free, or the service has them. */
export async function checkPorts(workspace: Workspace): Promise<Diagnosis> {
  const what = 'ports';
  const service = await findService(workspace);
  if (service !== undefined) {
    const { http, est, lwm2m } = service.ports;
    return { what, state: 'good', found: `the service listens on ${http}, ${est}, ${lwm2m}` };
  }
  const ports = Object.values(await servicePorts(workspace));
  const taken: number[] = [];
  for (const port of ports) if ((await canListen(port)) === undefined) taken.push(port);
  if (taken.length === 0) return { what, state: 'good', found: `${ports.join(', ')} are free` };
  return {
    what,
    state: 'bad',
    found: `something else listens on ${taken.join(', ')}`,
    remedy: `The boards were made for these ports. Find what has them: ss -ltnp 'sport = :${taken[0]}'`,
  };
}
