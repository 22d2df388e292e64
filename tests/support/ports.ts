// SPDX-License-Identifier: Apache-2.0
import { connect } from 'node:net';

/**
 * Whether something in the guest answers behind a forwarded port at 127.0.0.1. The emulator takes every connection itself and closes it
 * when the guest refuses it; so an open port is one that says something, or is still open after `patienceMs`.
 */
export async function answersOn(port: number, patienceMs = 30_000): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), patienceMs);
      const say = (open: boolean) => {
        clearTimeout(timer);
        resolve(open);
      };
      socket.once('data', () => say(true));
      socket.once('error', () => say(false));
      socket.once('close', () => say(false));
      // Servers that wait for the client to speak first.
      socket.write('\r\n');
    });
  } finally {
    socket.destroy();
  }
}
