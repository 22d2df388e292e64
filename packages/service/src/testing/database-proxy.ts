// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const socketName = '.s.PGSQL.5432';

/** Stands between a service and its database, and takes the database away. */
export class DatabaseProxy implements AsyncDisposable {
  /** The URL of the same database through here. */
  readonly url: string;
  readonly #directory: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #mode: 'open' | 'away' | 'silent' = 'open';
  #losing = false;

  private constructor(directory: string, url: string, server: Server) {
    this.#directory = directory;
    this.url = url;
    this.#server = server;
  }

  static async start(databaseUrl: string): Promise<DatabaseProxy> {
    const directory = await mkdtemp(join(tmpdir(), 'mbl-db-'));
    const url = new URL(databaseUrl);
    const real = join(url.searchParams.get('host') ?? '', socketName);
    url.searchParams.set('host', directory);
    const server = createServer();
    const proxy = new DatabaseProxy(directory, url.href, server);
    server.on('connection', (client) => proxy.#join(client, createConnection(real)));
    server.listen(join(directory, socketName));
    await once(server, 'listening');
    return proxy;
  }

  #join(client: Socket, database: Socket): void {
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', (bytes) => {
        if (this.#mode === 'open') to.write(bytes);
      });
    }
    client.on('data', (bytes) => {
      if (!this.#losing || !/commit|with changed/i.test(bytes.toString('latin1'))) return;
      this.#losing = false;
      // It arrives; the answer does not.
      database.removeAllListeners('data').once('data', () => database.destroy());
    });
    if (this.#mode === 'away') client.destroy();
  }

  /** Every connection breaks, and new ones too. */
  away(): void {
    this.#mode = 'away';
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The next COMMIT, or statement that is a transaction of its own, is carried out, and its connection breaks before the answer. */
  loseAnswerToCommit(): void {
    this.#losing = true;
  }

  /** Nothing comes through any more, and nobody says so. */
  silent(): void {
    this.#mode = 'silent';
  }

  /** New connections come through, and all their answers. */
  back(): void {
    this.#mode = 'open';
    this.#losing = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.away();
    this.#server.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
