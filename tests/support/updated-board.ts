// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { Board } from '@mbl/lab';
import type { Mirror } from './mirror.ts';
import { bootTimeoutMs, online, until, type World } from './world.ts';

/** A board that is online and is driven over the air, by what the standard says of object 5 (LwM2M Core 1.1 Appendix E.6). */
export class UpdatedBoard {
  readonly board: Board;
  readonly id: string;
  readonly #client: World['client'];
  readonly #mirror: Mirror;

  private constructor(client: World['client'], board: Board, id: string, mirror: Mirror) {
    this.#client = client;
    this.board = board;
    this.id = id;
    this.#mirror = mirror;
  }

  /** Waits until it is online and has proved good. */
  static async ready({ client }: World, board: Board, mirror: Mirror): Promise<UpdatedBoard> {
    const { id } = await online(client, board.name);
    const updated = new UpdatedBoard(client, board, id, mirror);
    await updated.proved();
    return updated;
  }

  /** What a resource has; undefined where that cannot be said now. */
  async value(path: string): Promise<unknown> {
    return (await this.#client.read(this.id, path).catch(() => []))[0]?.value;
  }

  /** The start of the board proved good. */
  async proved(): Promise<void> {
    const { code, stderr } = await this.board.ssh('systemctl start mbl-good-boot', {
      timeoutMs: bootTimeoutMs,
    });
    assert.equal(code, 0, stderr);
  }

  /** Waits for state and result of object 5, as long as the power is there. */
  async says(state: number, result: number, lost?: () => boolean): Promise<void> {
    const status = async () => [await this.value('/5/0/3'), await this.value('/5/0/5')];
    await until(
      `state ${state}, result ${result}`,
      async () => lost?.() === true || String(await status()) === String([state, result]),
      bootTimeoutMs,
    );
  }

  async order(version: string): Promise<void> {
    await this.#client.write(this.id, '/5/0/1', `${this.#mirror.url}#${version}`);
  }

  async start(): Promise<void> {
    await this.#client.execute(this.id, '/5/0/2');
  }

  /** Brings a release to the idle slot and starts it, as long as the power is there. */
  async install(version: string, lost?: () => boolean): Promise<void> {
    await this.order(version);
    await this.says(2, 0, lost);
    if (lost?.() !== true) await this.start();
  }
}
