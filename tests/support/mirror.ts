// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** A web server that knows nothing of releases; it serves the files of a folder, and ranges of them, to boards and to this machine. */
export class Mirror implements AsyncDisposable {
  /** Bytes that it has given. */
  given = 0;
  /** The end of the names of files of which it changes what it gives. */
  flipped: string | undefined;
  /** What it gives in the place of a file: the whole answer; false where it does not care. */
  lie: ((path: string, response: ServerResponse) => boolean) | undefined;
  /** Whoever asks for such a file waits until `letGo`. */
  held: RegExp | undefined;
  readonly #waiting: (() => void)[] = [];
  readonly #server: Server;

  private constructor(folder: string) {
    this.#server = createServer((request, response) => {
      if (this.held?.test(request.url ?? '') === true) this.#waiting.push(() => serve(request, response));
      else serve(request, response);
    });
    const serve = ({ url = '/', headers }: IncomingMessage, response: ServerResponse): void => {
      const path = normalize(decodeURIComponent(url));
      if (this.lie?.(path, response) === true) return;
      const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
      const part = range === null ? {} : { start: Number(range[1]), end: Number(range[2]) };
      const file = createReadStream(join(folder, path), part);
      file.on('data', (piece) => {
        this.given += piece.length;
        if (typeof piece !== 'string' && this.flipped !== undefined && path.endsWith(this.flipped))
          piece[2] = (piece[2] ?? 0) ^ 1;
      });
      file.once('error', () => response.writeHead(404).end());
      file.once('open', () => {
        if (range !== null) response.writeHead(206, { 'content-range': `bytes ${range[1]}-${range[2]}/*` });
        file.pipe(response);
      });
    };
  }

  /** How many have to wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  letGo(): void {
    this.held = undefined;
    for (const go of this.#waiting.splice(0)) go();
  }

  static async serve(folder: string): Promise<Mirror> {
    const mirror = new Mirror(folder);
    await new Promise<void>((listening) => mirror.#server.listen(0, '127.0.0.1', listening));
    return mirror;
  }

  /** As a virtual board reaches it. */
  get url(): string {
    return `http://10.0.2.2:${(this.#server.address() as AddressInfo).port}/`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    return Promise.resolve();
  }
}
