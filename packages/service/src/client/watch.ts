// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { MblError } from '@mbl/trust';
import type { NotificationMessage } from './types.ts';

/** Events as they happen. Iteration ends when it is disposed or its signal fires, and throws when the service goes away. */
export interface Watch extends AsyncIterable<NotificationMessage>, AsyncDisposable {}

const openTimeoutMs = 10_000;

/** Opens a notification channel of its own over WebSocket. */
export async function openWatch(url: URL, apiKey: string, signal: AbortSignal | undefined): Promise<Watch> {
  signal?.throwIfAborted();
  // The platform's WebSocket sets no headers; the service takes the key as a subprotocol.
  const socket = new WebSocket(url, ['wss', `pelion_${apiKey}`]);
  const waiting: NotificationMessage[] = [];
  let wake = Promise.withResolvers<void>();
  let stopped = false;
  socket.addEventListener('message', (event) => {
    waiting.push(JSON.parse(String(event.data)) as NotificationMessage);
    wake.resolve();
  });
  socket.addEventListener('close', () => wake.resolve());
  const stop = () => {
    stopped = true;
    wake.resolve();
    socket.close();
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const limit = AbortSignal.timeout(openTimeoutMs);
    await Promise.race([
      once(socket, 'open', { signal: signal === undefined ? limit : AbortSignal.any([limit, signal]) }),
      once(socket, 'error', { signal: limit }).then(() => Promise.reject(new Error('refused'))),
    ]);
  } catch (cause) {
    stop();
    if (signal?.aborted) throw cause;
    throw new MblError('service/unreachable', `The service opens no event stream at ${url.origin}`, {
      remedy: 'Start it: ./mbl up',
      cause,
    });
  }
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const message = waiting.shift();
        if (message !== undefined) {
          yield message;
          continue;
        }
        if (stopped) return;
        if (socket.readyState >= WebSocket.CLOSING) {
          throw new MblError('service/connection-lost', 'The service closed the event stream', {
            remedy: 'See whether it runs: ./mbl status',
          });
        }
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
    async [Symbol.asyncDispose]() {
      stop();
    },
  };
}
