// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { environmentOfTools } from '../processes.ts';
import { qmp } from '../qmp.ts';
import { NbdClient } from './nbd-client.ts';

/** An emulator without a machine that gives a disk of its block layer to a client, and can be killed. */
export interface ServedDisk {
  readonly emulator: ChildProcess;
  readonly client: NbdClient;
}

/** `node`: what QEMU's `-blockdev` takes; sockets are made in `directory`. */
export async function serveDisk(directory: string, node: Record<string, unknown>): Promise<ServedDisk> {
  const socket = (name: string): string => join(directory, name);
  const blockdev = JSON.stringify({ ...node, 'node-name': 'disk' });
  const emulator = spawn(
    'qemu-system-aarch64',
    [
      ...['-machine', 'none', '-nodefaults', '-display', 'none'],
      ...['-qmp', `unix:${socket('qmp')},server=on,wait=off`, '-blockdev', blockdev],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'], env: environmentOfTools() },
  );
  try {
    await once(emulator, 'spawn');
    await give(directory, emulator);
    return { emulator, client: await NbdClient.open(socket('out'), 'disk') };
  } catch (error) {
    emulator.kill('SIGKILL');
    throw error;
  }
}

/** Has the emulator serve its node `disk`. */
async function give(directory: string, emulator: ChildProcess): Promise<void> {
  const socket = (name: string): string => join(directory, name);
  await qmp(
    socket('qmp'),
    [
      { execute: 'nbd-server-start', arguments: { addr: { type: 'unix', data: { path: socket('out') } } } },
      {
        execute: 'block-export-add',
        arguments: { type: 'nbd', id: 'out', 'node-name': 'disk', writable: true },
      },
    ],
    { gaveUp: () => emulator.exitCode !== null },
  );
}
