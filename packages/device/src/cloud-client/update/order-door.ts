// SPDX-License-Identifier: Apache-2.0
import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { isErrno } from '../../common/files.ts';
import { readLines } from '../../common/lines.ts';
import type { Log } from '../../common/log.ts';
import { longestLine, type OrderStatus, parseOrder } from '../../common/order.ts';
import { aborted, sleep } from '../../common/wait.ts';
import type { Platform } from '../../platform/contract.ts';
import type { UpdateStatus } from './status.ts';
import type { Updater } from './updater.ts';

export interface OrderDoorOptions {
  /** Path of the socket. */
  readonly path: string;
  readonly platform: Pick<Platform, 'getUpdate'>;
  readonly log: Log;
  /** Milliseconds before the first look at the platform service, and between two. */
  readonly pause: number;
}

type Served = Pick<Updater, 'begin' | 'install' | 'status'>;

/**
 * Takes orders from whoever is at the board: no service and no registration is needed for them. The door is open once the platform service
 * answers, so that an open door says that another version could be brought by hand.
 */
export class OrderDoor {
  readonly #options: OrderDoorOptions;
  #updater: Served | undefined;
  #follower: ((status: UpdateStatus) => void) | undefined;

  constructor(options: OrderDoorOptions) {
    this.#options = options;
  }

  /** The one that carries orders out. */
  serve(updater: Served): void {
    this.#updater = updater;
  }

  /** Told what the updater does. */
  changed(status: UpdateStatus): void {
    this.#follower?.(status);
  }

  /** Until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { path, platform, pause, log } = this.#options;
    await sleep(pause, signal);
    while (!signal.aborted) {
      try {
        await platform.getUpdate();
        break;
      } catch {
        await sleep(pause, signal);
      }
    }
    if (signal.aborted) return;
    const server = createServer((socket) => void this.#serve(socket));
    try {
      await open(server, path);
      await aborted(signal);
    } catch (error) {
      log.error('orders at the board are not taken', { reason: messageOf(error) });
    } finally {
      server.close();
    }
  }

  async #serve(socket: Socket): Promise<void> {
    const { log } = this.#options;
    const say = (status: OrderStatus): void => void socket.write(`${JSON.stringify(status)}\n`);
    socket.on('error', () => socket.destroy());
    socket.setTimeout(firstLineMs, () => socket.destroy());
    try {
      for await (const line of readLines(socket, longestLine)) {
        socket.setTimeout(0);
        // Read on, or nobody would see that the other side has gone.
        socket.resume();
        say(await this.#carryOut(parseOrder(line), say, socket));
        break;
      }
    } catch (error) {
      log.warning('order at the board refused', { reason: messageOf(error) });
      say({ state: 'failed', detail: messageOf(error) });
    }
    socket.end();
  }

  /** Brings the release and starts it; how it ended. */
  async #carryOut(uri: string, say: (status: OrderStatus) => void, socket: Socket): Promise<OrderStatus> {
    const updater = this.#updater;
    if (updater === undefined) return { state: 'failed', detail: 'the client takes no orders' };
    await updater.begin(uri, 'hand');
    let wake = (): void => undefined;
    socket.once('close', () => wake());
    const follower = (): void => wake();
    this.#follower = follower;
    let said = '';
    try {
      for (;;) {
        const { state, detail, uri: present } = updater.status;
        if (present !== uri || this.#follower !== follower)
          return { state: 'failed', detail: 'another release was ordered meanwhile' };
        if (state === 'idle') return { state: 'failed', detail };
        if (state === 'downloaded') {
          await updater.install();
          return { state: 'starts', detail: updater.status.release };
        }
        if (detail !== said) say({ state: 'works', detail });
        said = detail;
        // Whoever gave the order has gone, and where the release came from with it.
        if (socket.destroyed) {
          await updater.begin('');
          return { state: 'failed', detail: 'whoever gave the order has gone' };
        }
        await new Promise<void>((changed) => (wake = changed));
      }
    } finally {
      if (this.#follower === follower) this.#follower = undefined;
    }
  }
}

const firstLineMs = 30_000;

async function open(server: Server, path: string): Promise<void> {
  // What an earlier process left. `rm` would ask for the right to read.
  await unlink(path).catch((cause: unknown) => {
    if (!isErrno(cause, 'ENOENT')) throw cause;
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(path, listening);
  });
  // For root without capabilities: it is in the client's group.
  await chmod(path, 0o660);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
