// SPDX-License-Identifier: Apache-2.0
import { rm, stat, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { isReleaseName, releaseNameRule } from '@mbl/formats';
import { serveFolder } from '@mbl/releases';
import { MblError } from '@mbl/trust';
import { readLines } from '../common/lines.ts';
import { formatOrder, longestLine, type OrderStatus, parseOrderStatus } from '../common/order.ts';
import { sleep } from '../common/wait.ts';

export interface GiveOptions {
  /** The socket where the client takes orders. */
  readonly socket: string;
  /** A file that is there while the device is registered. */
  readonly registered: string;
  /** Where root says that the device was not registered when the order was given. */
  readonly orderFile: string;
  /** How long the client may take to open its door, in milliseconds: it may still be starting. */
  readonly patience: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Orders a release: out of `source`, a folder or the URL of a repository, or from the device's own service. Resolves when the board starts
 * it. Throws `device/bad-order`, `device/no-client`, `device/order-failed` with what the client says.
 */
export async function giveOrder(
  release: string,
  source: string | undefined,
  options: GiveOptions,
): Promise<void> {
  const { orderFile, registered, say } = options;
  if (!isReleaseName(release))
    throw new MblError('device/bad-order', `${JSON.stringify(release)} is no release: ${releaseNameRule}`);
  // What is said here is said by root; the client is not asked.
  if (await exists(registered)) await rm(orderFile, { force: true });
  else await writeFile(orderFile, `${release}\n`, { mode: 0o644 });
  const isFolder = source !== undefined && !/^https?:\/\//.test(source);
  await using served = isFolder ? await serveFolder(source) : undefined;
  const base = served?.url ?? source ?? '';
  const status = await carryOut(`${base}#${release}`, options);
  if (status.state !== 'starts')
    throw new MblError('device/order-failed', status.detail === '' ? 'the client gave it up' : status.detail);
  say(`${release} is in its slot: the board restarts into it, on trial`);
}

async function carryOut(uri: string, options: GiveOptions): Promise<OrderStatus> {
  const socket = await openDoor(options);
  const leave = (): void => void socket.destroy();
  options.signal.addEventListener('abort', leave, { once: true });
  try {
    socket.write(formatOrder(uri));
    for await (const line of readLines(socket, longestLine)) {
      const status = parseOrderStatus(line);
      if (status.state !== 'works') return status;
      if (status.detail !== '') options.say(status.detail);
    }
  } finally {
    options.signal.removeEventListener('abort', leave);
    socket.destroy();
  }
  throw new MblError('device/order-failed', 'the client has gone: it is not known what became of the order');
}

/** Waits for the client: it may be starting, or wait for its platform service. */
async function openDoor({ socket: path, patience, signal }: GiveOptions): Promise<Socket> {
  const until = performance.now() + patience;
  for (;;) {
    signal.throwIfAborted();
    const socket = connect(path);
    const failure = await new Promise<Error | undefined>((done) => {
      socket.once('connect', () => done(undefined));
      socket.once('error', done);
    });
    if (failure === undefined) {
      // Later errors end the reading.
      socket.on('error', () => undefined);
      return socket;
    }
    if (performance.now() > until)
      throw new MblError('device/no-client', `mbl-cloud-client takes no orders: ${failure.message}`, {
        remedy: 'Look at `systemctl status mbl-cloud-client mbl-platformd`.',
      });
    await sleep(500, signal);
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
