// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';

/** The lines that come over a connection, one after the other; ends with it. Throws for a line of more than `most` characters. */
export async function* readLines(socket: Socket, most: number): AsyncGenerator<string> {
  let rest = '';
  socket.setEncoding('utf8');
  // The connection outlives the reading: an answer may still be on its way.
  for await (const piece of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > most) throw new Error(`a line of more than ${most} characters`);
    yield* lines;
  }
}
