// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { factoryFor, type ServiceFile } from '@mbl/formats';
import { type Board, createBoard } from '@mbl/lab';
import { type Service, ServiceClient, type ServiceOptions, startService } from '@mbl/service';
import { mblJson, temporaryFolder } from './mbl.ts';

export type ImageName = 'development' | 'production';

/** The folder of a built image with the keys of the working copy: the one that all stories of a run share, or built now. */
export async function imageOf(image: ImageName): Promise<string> {
  const shared = process.env[`MBL_TEST_${image.toUpperCase()}`];
  if (shared !== undefined) return shared;
  const { directory } = await mblJson<{ directory: string }>(['build', '--image', image], {
    timeout: 1_800_000,
  });
  return directory;
}

/** A service of its own in a temporary folder, and boards that know it. All is gone when it is disposed. */
export interface World extends AsyncDisposable {
  readonly directory: string;
  readonly client: ServiceClient;
  readonly file: ServiceFile;
  /** A board with a factory configuration for this service; not switched on. */
  board(name: string, image?: ImageName): Promise<Board>;
  /** Stops the service and starts it again on the same ports, with the same state. */
  restartService(pauseMs?: number): Promise<void>;
  /** Stops the service for something else, and starts it again as `restartService` does. */
  withoutService(act: () => Promise<void>): Promise<void>;
}

export async function openWorld(options: Partial<ServiceOptions> = {}): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(await temporaryFolder());
  const start = async (more: Partial<ServiceOptions> = {}): Promise<Service> =>
    await startService({
      directory: join(directory, 'service'),
      ...options,
      ...more,
    });
  let service = await start();
  stack.defer(async () => await service[Symbol.asyncDispose]());
  const { file } = service;
  const client = new ServiceClient({ url: file.http, apiKey: file.apiKey });
  const boards = stack.use(new AsyncDisposableStack());
  const owned = stack.move();
  const withoutService = async (act: () => Promise<void>): Promise<void> => {
    await service[Symbol.asyncDispose]();
    try {
      await act();
    } finally {
      const { http: httpPort, est: estPort, lwm2m: lwm2mPort } = file.ports;
      service = await start({ listen: { httpPort, estPort, lwm2mPort } });
    }
  };
  return {
    directory,
    client,
    file,
    async board(name, image = 'development') {
      const { code } = await client.createEnrolment(name);
      const board = await createBoard({
        directory: join(directory, 'boards', name),
        name,
        imageDirectory: await imageOf(image),
        factory: factoryFor(file, {
          endpointName: name,
          enrolmentCode: code,
          host: '10.0.2.2',
          trust: await readFile(file.trust, 'utf8'),
        }),
      });
      return boards.use(board);
    },
    restartService: async (pauseMs = 0) => await withoutService(async () => await sleep(pauseMs)),
    withoutService,
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  };
}

/** Waits until `check` gives something; fails with `what` at the deadline. Asks four times a second. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  timeoutMs: number,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await sleep(250);
  }
}

/** Emulation on a busy machine: generous, because a deadline here only says how long a failure takes to show. */
export const bootTimeoutMs = 240_000;

/** Waits until the directory shows the device online; gives its entry. */
export async function online(client: ServiceClient, name: string, timeoutMs: number = bootTimeoutMs) {
  return await until(
    `${name} online`,
    async () =>
      (await client.listDevices({ filter: { endpoint_name__eq: name } })).find(
        ({ online: here, state }) => here && state === 'registered',
      ),
    timeoutMs,
  );
}

/** Waits until the directory shows the device offline. */
export async function offline(client: ServiceClient, name: string, timeoutMs: number) {
  return await until(
    `${name} offline`,
    async () =>
      (await client.listDevices({ filter: { endpoint_name__eq: name } })).find((device) => !device.online),
    timeoutMs,
  );
}
