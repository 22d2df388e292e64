// SPDX-License-Identifier: Apache-2.0
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { CoapPeer } from '../peer.ts';
import { TcpSession, type TcpSessionOptions } from '../tcp/tcp-session.ts';

/** How long the other end has to close its half after this end closed, in milliseconds. */
const CLOSE_GRACE_MS = 5000;

export type ConnectStreamOptions = TcpSessionOptions;

/**
 * CoAP (RFC 8323) over a connection that the caller made or accepted: `net.Socket`, `tls.TLSSocket` or any other
 * Duplex. Works on both sides, and before the connection is up: what is sent waits in the socket. The peer owns the
 * socket from here on; `close` ends it, and a socket that ends aborts `closed` with a `CoapError`.
 */
export function connectStream(socket: Duplex, options: ConnectStreamOptions = {}): CoapPeer {
  let closing: NodeJS.Timeout | undefined;
  const session = new TcpSession(
    {
      write: (bytes) => {
        if (!socket.writable) return 0;
        socket.write(bytes);
        return socket.writableLength;
      },
      end: (how) => {
        if (how === 'immediate') return socket.destroy();
        socket.end();
        closing = setTimeout(() => socket.destroy(), CLOSE_GRACE_MS);
      },
    },
    options,
  );
  socket.on('data', (chunk: Uint8Array) => session.receive(chunk));
  // A half-open stream has nobody left to answer.
  socket.on('end', () => {
    session.ended();
    socket.end();
  });
  socket.on('error', (error) => session.ended(error));
  socket.on('close', () => {
    clearTimeout(closing);
    session.ended();
  });
  // Small messages go out at once, not when the last one is acknowledged.
  if (socket instanceof net.Socket) socket.setNoDelay(true);
  session.start();
  // Nobody will say so again when the stream ended before it came here.
  if (socket.destroyed || socket.readableEnded) queueMicrotask(() => session.ended());
  return session.peer;
}
