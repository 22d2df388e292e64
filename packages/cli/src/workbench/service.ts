// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readServiceFile, type ServiceFile } from '@mbl/formats';
import { type Device, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { releasesFolder, type Workspace } from '../workspace.ts';

/** The ports of the service: boards are made for them, so they stay the same from start to start. */
export interface ServicePorts {
  readonly http: number;
  readonly est: number;
  readonly lwm2m: number;
}

/** EST and LwM2M where the field expects them (RFC 7030 names no port; 5684 is `coaps+tcp`, RFC 8323 §8.2). */
const preferred: ServicePorts = { http: 8080, est: 8443, lwm2m: 5684 };

const startDeadline = 90_000;
const stopDeadline = 30_000;

export function serviceFolder(workspace: Workspace): string {
  return join(workspace.state, 'service');
}

export function serviceLog(workspace: Workspace): string {
  return join(serviceFolder(workspace), 'service.log');
}

/** The running service of this workspace, or undefined. */
export async function findService(workspace: Workspace): Promise<ServiceFile | undefined> {
  const folder = serviceFolder(workspace);
  const file = await readServiceFile(folder);
  return file !== undefined && (await isService(file.pid, folder)) ? file : undefined;
}

export function clientOf({ http, apiKey }: ServiceFile): ServiceClient {
  return new ServiceClient({ url: http, apiKey });
}

/** A client of the workspace's running service. Errors: `cli/service-stopped`. */
export async function connectService(workspace: Workspace): Promise<ServiceClient> {
  return clientOf(await runningService(workspace));
}

/** The workspace's running service. Errors: `cli/service-stopped`. */
export async function runningService(workspace: Workspace): Promise<ServiceFile> {
  const service = await findService(workspace);
  if (service !== undefined) return service;
  throw new MblError('cli/service-stopped', 'The device management service does not run.', {
    remedy: 'Start it, with a board: ./mbl up',
  });
}

/** The device of this id or endpoint name, and a client to speak of it. Errors: `cli/service-stopped`, `service/no-such-device`. */
export async function findDevice(
  { workspace, signal }: Cli,
  idOrName: string,
): Promise<{ client: ServiceClient; device: Device }> {
  const client = await connectService(workspace);
  return { client, device: await client.findDevice(idOrName, { signal }) };
}

export interface StartOptions {
  /** The CA that signs device certificates; PEM files. Without it the service makes its own. */
  readonly deviceCa?: { readonly certificate: string; readonly key: string };
  readonly signal: AbortSignal;
}

/**
 * Starts the service as a process of its own, unless it runs, and waits until it answers. Errors: `cli/service-failed` with the end of
 * its log.
 */
export async function startDaemon(
  workspace: Workspace,
  { deviceCa, signal }: StartOptions,
): Promise<{ file: ServiceFile; started: boolean }> {
  const running = await findService(workspace);
  if (running !== undefined) return { file: running, started: false };
  const folder = serviceFolder(workspace);
  await mkdir(folder, { recursive: true });
  const ports = await servicePorts(workspace);
  await writeFile(portsFile(workspace), `${JSON.stringify(ports)}\n`);
  const path = serviceLog(workspace);
  const log = await open(path, 'a');
  try {
    const { size: before } = await log.stat();
    const main = join(dirname(fileURLToPath(import.meta.resolve('@mbl/service'))), 'main.ts');
    const child = spawn(
      process.execPath,
      [
        main,
        ...['--directory', folder],
        ...['--releases', releasesFolder(workspace)],
        ...[
          '--http-port',
          String(ports.http),
          '--est-port',
          String(ports.est),
          '--lwm2m-port',
          String(ports.lwm2m),
        ],
        // How a guest of QEMU's user network calls this machine.
        ...['--name', '10.0.2.2'],
        ...(deviceCa === undefined
          ? []
          : ['--device-ca', deviceCa.certificate, '--device-ca-key', deviceCa.key]),
      ],
      { detached: true, stdio: ['ignore', log.fd, log.fd], cwd: '/' },
    );
    child.unref();
    let ended: string | undefined;
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, by) => (ended ??= by === null ? `exit code ${code}` : by));
    const deadline = Date.now() + startDeadline;
    for (;;) {
      // Another process may have started it at the same time: then that one is as good.
      const file = await findService(workspace);
      if (file !== undefined && (await answers(file))) return { file, started: true };
      if (ended !== undefined && file === undefined)
        throw await serviceFailed(path, before, `it ended (${ended})`);
      if (Date.now() > deadline)
        throw await serviceFailed(path, before, `it did not answer in ${startDeadline / 1000} s`);
      if (signal.aborted) child.kill('SIGTERM');
      signal.throwIfAborted();
      await sleep(100, undefined, { signal });
    }
  } finally {
    await log.close();
  }
}

/** Stops the service; resolves when its process is gone. Returns whether there was one. Errors: `cli/service-stuck`. */
export async function stopDaemon(workspace: Workspace, signal: AbortSignal): Promise<boolean> {
  const file = await findService(workspace);
  if (file === undefined) return await stopOrphan(serviceFolder(workspace), signal);
  process.kill(file.pid, 'SIGTERM');
  const deadline = Date.now() + stopDeadline;
  while (await isService(file.pid, serviceFolder(workspace))) {
    if (Date.now() > deadline) {
      throw new MblError('cli/service-stuck', `The service (process ${file.pid}) does not stop.`, {
        remedy: `Read ${serviceLog(workspace)}, then end it with: kill -9 ${file.pid}`,
      });
    }
    await sleep(50, undefined, { signal });
  }
  return true;
}

/** Stops the PostgreSQL cluster that a killed service left running. */
async function stopOrphan(folder: string, signal: AbortSignal): Promise<boolean> {
  // The first two lines: process id, data folder (PostgreSQL documentation, "postmaster.pid").
  const text = await readFile(join(folder, 'postgres/data/postmaster.pid'), 'utf8').catch(() => '');
  const [first = '', data = ''] = text.split('\n');
  const pid = Number(first);
  if (!Number.isInteger(pid) || pid < 1 || data === '' || !(await isService(pid, data))) return false;
  // SIGINT is PostgreSQL's fast shutdown.
  process.kill(pid, 'SIGINT');
  const deadline = Date.now() + stopDeadline;
  while ((await isService(pid, data)) && Date.now() < deadline) await sleep(50, undefined, { signal });
  return true;
}

/** A pid alone may belong to somebody else by now. */
async function isService(pid: number, folder: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.split('\0').includes(folder);
}

async function answers(file: ServiceFile): Promise<boolean> {
  return await fetch(file.http, { signal: AbortSignal.timeout(2000) }).then(
    () => true,
    () => false,
  );
}

/** The ports of earlier starts; before the first, the usual ones, or any others where something else has those. */
export async function servicePorts(workspace: Workspace): Promise<ServicePorts> {
  const known = await readFile(portsFile(workspace), 'utf8').catch(() => undefined);
  if (known !== undefined) return parsePorts(known, portsFile(workspace));
  return {
    http: await freePort(preferred.http),
    est: await freePort(preferred.est),
    lwm2m: await freePort(preferred.lwm2m),
  };
}

function parsePorts(text: string, path: string): ServicePorts {
  try {
    const { http, est, lwm2m } = JSON.parse(text) as ServicePorts;
    if ([http, est, lwm2m].every((port) => Number.isInteger(port) && port > 0 && port < 65_536))
      return { http, est, lwm2m };
  } catch {
    // Said below.
  }
  throw new MblError('cli/state-damaged', `${path} is damaged.`, {
    remedy:
      'Remove it: the next start chooses the ports anew. Boards that were made for others must be made again.',
    details: { path },
  });
}

function portsFile(workspace: Workspace): string {
  return join(serviceFolder(workspace), 'ports.json');
}

async function freePort(wanted: number): Promise<number> {
  return (await canListen(wanted)) ?? (await canListen(0)) ?? wanted;
}

/** The port if this machine lets us listen there. 0 takes any. */
export async function canListen(port: number): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

async function serviceFailed(log: string, from: number, why: string): Promise<MblError> {
  const text = (await readFile(log).catch(() => Buffer.alloc(0))).subarray(from).toString('utf8');
  const lines = text.trim().split('\n').slice(-8);
  return new MblError(
    'cli/service-failed',
    `The service did not start: ${why}\n${lines.map((line) => `  | ${line}`).join('\n')}`,
    {
      remedy: 'The whole log: ./mbl logs service. What the machine lacks: ./mbl doctor',
      details: { log },
    },
  );
}
