// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { type WebSocket, WebSocketServer } from 'ws';
import { HttpError } from '../../infra/http/errors.ts';
import type { Log } from '../../infra/log.ts';
import type { Channel } from './channel.ts';
import type { Channels } from './channels.ts';
import { channelName } from './routes.ts';

const path = '/v2/notification/websocket-connect';
const pingMs = 20_000;
/** Browsers can set no header on a WebSocket; the key comes as a subprotocol then. */
const keyProtocol = 'pelion_';

export interface WebSocketParts {
  readonly channels: Channels;
  readonly authenticate: (token: string) => Promise<string | undefined>;
  readonly log: Log;
  readonly now: () => number;
}

/** Delivers notification channels over WebSocket: `GET /v2/notification/websocket-connect[?channel=NAME]`. */
export class WebSocketDoor implements AsyncDisposable {
  readonly #parts: WebSocketParts;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: 1024,
    handleProtocols: (offered) => (offered.has('wss') ? 'wss' : false),
  });
  readonly #sockets = new Map<Channel, WebSocket>();

  constructor(parts: WebSocketParts) {
    this.#parts = parts;
  }

  /** Answers the upgrade requests of an HTTP server. */
  attach(server: Server): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => {
        const refusal =
          error instanceof HttpError ? error : new HttpError('internal_server_error', 'INTERNAL_ERROR');
        if (refusal !== error) this.#parts.log.error('A WebSocket could not be opened', { error });
        socket.end(
          `HTTP/1.1 ${refusal.status} \r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n${refusal.message}`,
        );
      });
    });
  }

  isConnected(channel: Channel): boolean {
    return this.#sockets.has(channel);
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname.replace(/\/$/, '') !== path) throw new HttpError('not_found', 'RESOURCE_NOT_FOUND');
    const apiKeyId = await this.#caller(request);
    if (apiKeyId === undefined) throw new HttpError('invalid_auth', 'INVALID_API_KEY');
    const named = url.searchParams.get('channel');
    const name = named === null ? undefined : channelName.safeParse(named).data;
    if (named !== null && name === undefined) throw new HttpError('validation_error', 'BAD_CHANNEL_NAME');
    const { channels } = this.#parts;
    // The key's own channel must have been made by PUT; a named one is made by connecting and ends with the socket.
    if (name === undefined && channels.get(apiKeyId)?.kind !== 'websocket')
      throw new HttpError('validation_error', 'CHANNEL_NOT_FOUND');
    channels.check(apiKeyId, 'websocket', name);
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const channel = channels.open(apiKeyId, 'websocket', name);
      this.#deliver(webSocket, channel)
        .catch((error: unknown) => this.#parts.log.warn('A WebSocket broke', { error }))
        .finally(() => {
          if (name !== undefined && this.#sockets.get(channel) === undefined) channels.close(apiKeyId, name);
        });
    });
  }

  async #caller(request: IncomingMessage): Promise<string | undefined> {
    const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
    const inProtocol = offered.find((one) => one.startsWith(keyProtocol))?.slice(keyProtocol.length);
    const token = bearer ?? inProtocol;
    return token === undefined ? undefined : this.#parts.authenticate(token);
  }

  async #deliver(webSocket: WebSocket, channel: Channel): Promise<void> {
    this.#sockets.get(channel)?.close(1008, 'Another client took over the channel');
    this.#sockets.set(channel, webSocket);
    const closed = new AbortController();
    webSocket.once('close', () => closed.abort());
    webSocket.on('error', () => closed.abort());
    let alive = true;
    webSocket.on('pong', () => {
      alive = true;
    });
    const pinger = setInterval(() => {
      this.#parts.channels.touch(channel);
      if (!alive) return webSocket.terminate();
      alive = false;
      webSocket.ping();
    }, pingMs).unref();
    const send = promisify<string, void>((text, done) => webSocket.send(text, done));
    try {
      while (!closed.signal.aborted && !channel.ended) {
        const message = channel.take();
        if (message === undefined) {
          await channel.ready(closed.signal);
          continue;
        }
        const text = JSON.stringify(message);
        try {
          await send(text);
        } catch (error) {
          // The client did not get it: it waits for the next one.
          channel.putBack(message, text.length, this.#parts.now());
          throw error;
        }
      }
    } finally {
      clearInterval(pinger);
      if (this.#sockets.get(channel) === webSocket) this.#sockets.delete(channel);
      this.#parts.channels.touch(channel);
      if (channel.ended) webSocket.close(1000, 'The channel was deleted');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // All of them, those too whose channel has ended and who have not answered the close.
    for (const webSocket of this.#server.clients) {
      webSocket.close(1001, 'The service stops');
      // A client that does not answer must not hold up the stop.
      setTimeout(() => webSocket.terminate(), 500).unref();
    }
    await promisify(this.#server.close.bind(this.#server))();
  }
}
