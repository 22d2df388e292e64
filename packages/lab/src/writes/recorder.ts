// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync, writeSync, writevSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { encodeRecord, logMagic, type LogRecord, type Medium, media } from './log-format.ts';
import { nbdError, nbdGreeting, nbdReply, type NbdRequest, NbdSession } from './nbd.ts';

/** From here on a hole is cheaper than zeros. */
const holeLength = 64 * 1024;

/**
 * The media of a recorded run: serves files by NBD at a socket, and writes down every request when it comes and when it is done. The
 * emulator may die at any moment; what it had asked for until then is done and recorded.
 *
 * Everything that has arrived is recorded as issued before any of it is completed, so that requests which the guest had under way at the
 * same time are so in the log. Requests of a connection are done in their order.
 */
export class Recorder {
  readonly #files = new Map<Medium, number>();
  readonly #log: number;
  readonly #server: Server;
  #connections = 0;
  #requests = 0;
  readonly #connected = Promise.withResolvers<void>();
  readonly #idle = Promise.withResolvers<void>();

  /** `files`: what each medium's bytes are kept in. */
  constructor(files: ReadonlyMap<Medium, string>, logPath: string) {
    for (const [medium, path] of files) this.#files.set(medium, openSync(path, 'r+'));
    this.#log = openSync(logPath, 'w');
    writeSync(this.#log, logMagic);
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Resolves when clients can connect. */
  async start(socketPath: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, resolve);
    });
  }

  /** Resolves when the first client is there. */
  async connected(): Promise<void> {
    await this.#connected.promise;
  }

  /** Resolves when the last client is gone and all that it asked for is in the log. */
  async finished(): Promise<void> {
    await this.#idle.promise;
    this.#server.close();
    for (const file of this.#files.values()) closeSync(file);
    closeSync(this.#log);
  }

  #serve(socket: Socket): void {
    this.#connections += 1;
    this.#connected.resolve();
    const exports = [...this.#files].map(([name, file]) => ({ name, size: fstatSync(file).size }));
    const session = new NbdSession(exports);
    let queue: (() => void)[] = [];
    const work = (): void => {
      const todo = queue;
      queue = [];
      socket.cork();
      for (const task of todo) task();
      socket.uncork();
    };
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const { answers, requests, closed } = session.take(chunk as Buffer);
      for (const answer of answers) socket.write(answer);
      const medium = media.find((name) => name === session.selected?.name);
      if (medium !== undefined) {
        // After what the event loop still has to read: see above.
        if (requests.length > 0 && queue.length === 0) setImmediate(work);
        for (const request of requests) queue.push(this.#issue(medium, request, socket));
      }
      if (closed) socket.end();
    });
    socket.on('close', () => {
      work();
      this.#connections -= 1;
      if (this.#connections === 0) this.#idle.resolve();
    });
    socket.write(nbdGreeting());
  }

  /** Records a request and gives what completes it. */
  #issue(medium: Medium, request: NbdRequest, socket: Socket): () => void {
    const file = this.#files.get(medium) ?? -1;
    const { command, forced, offset, length, data, cookie } = request;
    if (command === 'read' || command === 'disconnect') return () => readInto(socket, file, request);
    const record: LogRecord = {
      event: 'issued',
      medium,
      operation: command,
      forced,
      request: this.#requests,
      time: now(),
      offset,
      length,
    };
    this.#requests += 1;
    this.#append(encodeRecord(record, data), data);
    return () => {
      try {
        // A flush has nothing to do: it is the guest's power that is to be cut, not the host's.
        if (command === 'write') writeFully(file, data, offset);
        else if (command !== 'flush') clear(file, offset, length);
      } catch {
        // Not completed: it may be on the medium or not.
        socket.write(nbdReply(cookie, nbdError.io));
        return;
      }
      this.#append(encodeRecord({ ...record, event: 'completed', time: now() }));
      socket.write(nbdReply(cookie));
    };
  }

  /** An append that fails (a full disk) ends the process: what is not recorded must not be answered. */
  #append(...parts: Buffer[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const written = writevSync(this.#log, parts);
    if (written < length) writeFully(this.#log, Buffer.concat(parts).subarray(written), null);
  }
}

function now(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
}

function readInto(socket: Socket, file: number, { offset, length, cookie }: NbdRequest): void {
  const bytes = Buffer.allocUnsafe(length);
  try {
    for (let done = 0; done < length; ) {
      const count = readSync(file, bytes, done, length - done, offset + done);
      if (count === 0) throw new Error('The file became shorter.');
      done += count;
    }
  } catch {
    socket.write(nbdReply(cookie, nbdError.io));
    return;
  }
  socket.write(nbdReply(cookie));
  socket.write(bytes);
}

function writeFully(file: number, bytes: Buffer, position: number | null): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, position === null ? null : position + done);
  }
}

/** Makes a range read as zeros. */
function clear(file: number, offset: number, length: number): void {
  if (length >= holeLength) {
    const args = ['--punch-hole', '--offset', String(offset), '--length', String(length), '/proc/self/fd/3'];
    const { status } = spawnSync('fallocate', args, { stdio: ['ignore', 'ignore', 'ignore', file] });
    if (status === 0) return;
  }
  const zeros = Buffer.alloc(Math.min(length, 1024 * 1024));
  for (let done = 0; done < length; done += zeros.length) {
    writeFully(file, zeros.subarray(0, length - done), offset + done);
  }
}
