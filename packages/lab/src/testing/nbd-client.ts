// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const requestMagic = 0x25609513;
const numbers = { read: 0, write: 1, flush: 3, discard: 4, zero: 6 } as const;

/** The client's half of the NBD protocol, for tests: what a guest does with a disk, many requests at a time. */
export class NbdClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<
    bigint,
    { resolve: (data: Buffer) => void; reject: (error: Error) => void; length: number }
  >();
  #rest: Buffer = Buffer.alloc(0);
  #next = 0n;
  /** Bytes of the export. */
  readonly size: number;

  private constructor(socket: Socket, size: number, rest: Buffer) {
    this.#socket = socket;
    this.size = size;
    socket.on('data', (bytes) => this.#take(bytes as Buffer));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('The server is gone.'));
      this.#waiting.clear();
    });
    this.#take(rest);
  }

  static async open(path: string, name: string): Promise<NbdClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    const request = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    request.writeUInt32BE(3, 0);
    request.write('IHAVEOPT', 4, 'latin1');
    request.writeUInt32BE(7, 12);
    request.writeUInt32BE(4 + name.length + 2, 16);
    request.writeUInt32BE(name.length, 20);
    request.write(name, 24);
    socket.write(request);
    // The greeting, then a reply of 20 bytes and its body for each piece of information, and the acknowledgement.
    let bytes = Buffer.alloc(0);
    let size = 0;
    for (let position = 18; ; ) {
      const length = bytes.length < position + 20 ? undefined : bytes.readUInt32BE(position + 16);
      if (length === undefined || bytes.length < position + 20 + length) {
        const [more] = (await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
        bytes = Buffer.concat([bytes, more]);
        continue;
      }
      const type = bytes.readUInt32BE(position + 12);
      if (type === 3 && bytes.readUInt16BE(position + 20) === 0)
        size = Number(bytes.readBigUInt64BE(position + 22));
      position += 20 + length;
      if (type === 1) return new NbdClient(socket, size, bytes.subarray(position));
      if (type !== 3) throw new Error(`The server refuses: ${type.toString(16)}`);
    }
  }

  async read(offset: number, length: number): Promise<Buffer> {
    return await this.#ask('read', offset, length);
  }

  async write(offset: number, data: Buffer, forced = false): Promise<void> {
    await this.#ask('write', offset, data.length, data, forced);
  }

  async clear(how: 'discard' | 'zero', offset: number, length: number): Promise<void> {
    await this.#ask(how, offset, length);
  }

  async flush(): Promise<void> {
    await this.#ask('flush', 0, 0);
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(
    command: keyof typeof numbers,
    offset: number,
    length: number,
    data?: Buffer,
    forced = false,
  ): Promise<Buffer> {
    if (this.#socket.destroyed) return Promise.reject(new Error('The server is gone.'));
    const head = Buffer.alloc(28);
    const cookie = this.#next++;
    head.writeUInt32BE(requestMagic, 0);
    head.writeUInt16BE(forced ? 1 : 0, 4);
    head.writeUInt16BE(numbers[command], 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    return new Promise((resolve, reject) => {
      this.#waiting.set(cookie, { resolve, reject, length: command === 'read' ? length : 0 });
      this.#socket.write(data === undefined ? head : Buffer.concat([head, data]));
    });
  }

  #take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 16) {
      const cookie = this.#rest.readBigUInt64BE(8);
      const error = this.#rest.readUInt32BE(4);
      const request = this.#waiting.get(cookie);
      if (request === undefined)
        return void this.#socket.destroy(new Error('An answer that nobody asked for.'));
      const length = error === 0 ? request.length : 0;
      if (this.#rest.length < 16 + length) return;
      const data = this.#rest.subarray(16, 16 + length);
      this.#rest = this.#rest.subarray(16 + length);
      this.#waiting.delete(cookie);
      if (error === 0) request.resolve(data);
      else request.reject(new Error(`The server answers with error ${error}.`));
    }
  }
}
