// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildResult } from '@mbl/builder';
import { type FactoryConfiguration, factoryFor, type ServiceFile } from '@mbl/formats';
import { type Board, createBoard, openBoard, type PortForward, reflashBoard } from '@mbl/lab';
import { loadKeys } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import type { KeyOptions } from '../parameters.ts';
import { boardFolder } from './boards.ts';
import { keysFolder } from '../workspace.ts';
import { clientOf, serviceFolder, startDaemon } from './service.ts';
import { useTools } from './tools.ts';

/** How a guest of QEMU's user network calls this machine. */
const hostOfGuests = '10.0.2.2';

/** Starts the service unless it runs, with the device CA of the key set. */
export async function ensureService(cli: Cli, { keys }: KeyOptions): Promise<ServiceFile> {
  const { output, workspace, signal } = cli;
  await useTools(cli);
  const ca = await deviceCa(keysFolder(workspace, keys));
  const { file, started } = await output.progress.phase(
    'start the service',
    async () => await startDaemon(workspace, { ...(ca && { deviceCa: ca }), signal }),
    ({ file: { http }, started }) => ({ note: started ? http : `${http}, was running` }),
  );
  if (started && ca === undefined)
    output.remark(
      `The key set's device-ca is in a token, which the service does not use: its own signs device certificates, in ${join(serviceFolder(workspace), 'ca')}.`,
    );
  return file;
}

/** The key set's device CA where it is in files. */
async function deviceCa(folder: string): Promise<{ certificate: string; key: string } | undefined> {
  const { place, certificateFile } = (await loadKeys(folder)).keys['device-ca'];
  if (certificateFile === undefined || !('file' in place)) return undefined;
  return { certificate: certificateFile, key: place.file };
}

/** The workspace's board of this name; undefined where there is none. */
export async function presentBoard({ workspace }: Cli, name: string): Promise<Board | undefined> {
  return await openBoard(boardFolder(workspace, name)).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'lab/unknown-board') return undefined;
    throw error;
  });
}

/**
 * The board with the present build on it: made where there is none, with a factory configuration that lets it enrol (given a service);
 * flashed again where it has another build.
 */
export async function ensureBoard(
  cli: Cli,
  name: string,
  image: BuildResult,
  service: ServiceFile | undefined,
): Promise<Board> {
  const present = await presentBoard(cli, name);
  if (present === undefined) return await makeBoard(cli, name, image.directory, service);
  return present.file.buildId === image.description.buildId ? present : await flashBoard(cli, present, image);
}

/** Puts a build onto a board that is there, off line; its identity and data stay. */
export async function flashBoard(
  { output, signal }: Cli,
  board: Board,
  { directory, description: { buildId } }: BuildResult,
): Promise<Board> {
  return await output.progress.phase(
    `flash board ${board.name} with build ${buildId}`,
    async () => {
      await board.quit({ timeoutMs: 20_000, signal });
      return await reflashBoard(board, directory, { signal });
    },
    () => ({ note: 'identity and data kept' }),
  );
}

/** Makes a board of a build, with a factory configuration that lets it enrol (given a service). */
export async function makeBoard(
  cli: Cli,
  name: string,
  imageDirectory: string,
  service: ServiceFile | undefined,
  { replace = false } = {},
): Promise<Board> {
  await useTools(cli);
  return await cli.output.progress.phase(`make board ${name}`, async () => {
    const factory = service === undefined ? undefined : await factoryConfiguration(cli, name, service);
    return await createBoard({
      directory: boardFolder(cli.workspace, name),
      name,
      imageDirectory,
      replace,
      signal: cli.signal,
      ...(factory === undefined ? {} : { factory }),
    });
  });
}

/** ARCHITECTURE.md, "Factory configuration": what the factory would write for this board. */
async function factoryConfiguration(
  cli: Cli,
  name: string,
  service: ServiceFile,
): Promise<FactoryConfiguration> {
  const { code } = await clientOf(service).createEnrolment(name, { signal: cli.signal });
  const trust = await readFile(service.trust, 'utf8');
  return factoryFor(service, { endpointName: name, enrolmentCode: code, host: hostOfGuests, trust });
}

/** Switches the board on unless it is; it outlives this command when `detached`. Returns whether it was off. */
export async function ensurePower(
  cli: Cli,
  board: Board,
  options: { detached: boolean; ports?: readonly PortForward[] },
): Promise<boolean> {
  if (board.running) return false;
  await useTools(cli);
  await cli.output.progress.phase(
    `power on ${board.name}`,
    async () => await board.start({ ...options, signal: cli.signal }),
  );
  return true;
}
