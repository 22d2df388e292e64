// SPDX-License-Identifier: Apache-2.0
import { connect, type Socket } from 'node:net';
import { MblError } from '@mbl/trust';
import {
  encodeMessage,
  type Frame,
  frameLength,
  type Header,
  messageType,
  type Outgoing,
  parseFrame,
  parseHeader,
} from './message.ts';
import { Malformed, Reader } from './wire.ts';

const driver = 'org.freedesktop.DBus';
/** Milliseconds. The bus answers at once, unless its machine is very busy. */
const deadline = 60_000;
/** Longer headers are of nobody who calls a service of ours. */
const longestHeader = 16 * 1024;
/** Bytes that wait to be sent, and nothing more is read: who floods waits for the answers to the others. */
const mostUnsent = 256 * 1024;

export interface Incoming {
  readonly header: Header;
  /** Of the body. */
  readonly bytes: number;
  /** The values of the body. Throws `Malformed` where it is not of `signature`. */
  body(signature: string): unknown[];
}

export interface ConnectionOptions {
  /** Path of the bus's socket. */
  readonly path: string;
  /** Bytes of a body; longer ones are passed over, and `body` throws. */
  readonly longestBody: number;
  onMessage(connection: BusConnection, message: Incoming): void;
  /** The connection is gone, after it was there. */
  onEnd(connection: BusConnection): void;
}

interface Waiting {
  resolve(values: unknown[]): void;
  reject(error: Error): void;
  readonly signature: string;
  readonly timer: NodeJS.Timeout;
}

/** One connection to a message bus, by EXTERNAL (D-Bus Specification, "Authentication Protocol"). */
export class BusConnection implements Disposable {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #serial = 0;
  #unread: Buffer = Buffer.alloc(0);
  /** Bytes of a message that is passed over. */
  #toSkip = 0;
  #isOpen = false;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = connect(options.path);
  }

  /** Throws `device/bus-failed`. */
  static async open(options: ConnectionOptions): Promise<BusConnection> {
    const connection = new BusConnection(options);
    try {
      await connection.#authenticate();
      await connection.callBus('Hello', '', [], 's');
    } catch (cause) {
      connection[Symbol.dispose]();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MblError('device/bus-failed', `the bus ${options.path} cannot be used: ${why}`, { cause });
    }
    connection.#isOpen = true;
    return connection;
  }

  #authenticate(): Promise<void> {
    const socket = this.#socket;
    const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), deadline);
      let said = Buffer.alloc(0);
      const end = (error?: Error) => {
        clearTimeout(timer);
        reject(error ?? new Error('it ended the connection'));
      };
      const onData = (bytes: Buffer) => {
        said = Buffer.concat([said, bytes]);
        const line = said.indexOf('\r\n');
        if (line < 0 && said.length < 1024) return;
        clearTimeout(timer);
        socket.off('data', onData);
        if (!said.toString('latin1').startsWith('OK ')) {
          socket.destroy();
          return reject(new Error('it does not know this user'));
        }
        socket.write('BEGIN\r\n');
        socket.on('data', (more: Buffer) => this.#read(more));
        resolve();
      };
      // The bus alone speaks on this socket; a listener must be there, or an error ends the process.
      socket.on('error', end);
      socket.on('close', () => {
        end();
        this.#end();
      });
      socket.on('data', onData);
      socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
  }

  /** A method of the bus itself. Throws what it answers, or that it is gone. */
  callBus(member: string, signature: string, body: readonly unknown[], answer: string): Promise<unknown[]> {
    if (this.#socket.destroyed) return Promise.reject(new Error('the connection to the bus ended'));
    const serial = this.#send({
      type: messageType.call,
      destination: driver,
      path: '/org/freedesktop/DBus',
      interface: driver,
      member,
      signature,
      body,
    });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(serial);
        reject(new Error(`the bus did not answer ${member}`));
      }, deadline);
      this.#waiting.set(serial, { resolve, reject, signature: answer, timer });
    });
  }

  /** Sends, as far as the connection is there: nothing tells whether it came. */
  send(message: Outgoing): void {
    this.#send(message);
  }

  #send(message: Outgoing): number {
    this.#serial = (this.#serial % 0xffff_ffff) + 1;
    if (this.#socket.destroyed) return this.#serial;
    this.#socket.write(encodeMessage(this.#serial, message));
    if (this.#socket.writableLength > mostUnsent && !this.#socket.isPaused()) {
      this.#socket.pause();
      this.#socket.once('drain', () => this.#socket.resume());
    }
    return this.#serial;
  }

  #read(bytes: Buffer): void {
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
    // What is answered at once goes out in one piece: who floods would have a system call made for each refusal.
    this.#socket.cork();
    try {
      while (this.#readOne());
    } catch (error) {
      // The bus checks what it passes on: only a broken bus gets here.
      this.#socket.destroy(error instanceof Error ? error : undefined);
    } finally {
      this.#socket.uncork();
    }
  }

  /** False where more bytes have to come first. */
  #readOne(): boolean {
    const skipped = Math.min(this.#toSkip, this.#unread.length);
    this.#toSkip -= skipped;
    this.#unread = this.#unread.subarray(skipped);
    if (this.#toSkip > 0 || this.#unread.length < frameLength) return false;
    const frame = parseFrame(this.#unread);
    const { headerLength, bodyLength } = frame;
    const isTooLong = bodyLength > this.#options.longestBody || headerLength > longestHeader;
    const read = headerLength > longestHeader ? 0 : headerLength + (isTooLong ? 0 : bodyLength);
    if (this.#unread.length < read) return false;
    const bytes = this.#unread.subarray(0, read);
    this.#unread = this.#unread.subarray(read);
    this.#toSkip = headerLength + bodyLength - read;
    const header = read === 0 ? undefined : readHeader(bytes.subarray(0, headerLength), frame);
    if (header !== undefined)
      this.#dispatch(header, frame, isTooLong ? undefined : bytes.subarray(headerLength));
    return true;
  }

  #dispatch(header: Header, { little, bodyLength }: Frame, body: Buffer | undefined): void {
    const message: Incoming = {
      header,
      bytes: bodyLength,
      body(signature) {
        if (body === undefined) throw new Malformed('the message is too long');
        if (header.signature !== signature)
          throw new Malformed(`the arguments must be of the types "${signature}"`);
        return new Reader(body, little).values(signature);
      },
    };
    const isAnswer = header.type === messageType.answer || header.type === messageType.error;
    if (!isAnswer) return this.#options.onMessage(this, message);
    const waiting = this.#waiting.get(header.replySerial);
    if (waiting === undefined || header.sender !== driver) return;
    this.#waiting.delete(header.replySerial);
    clearTimeout(waiting.timer);
    if (header.type === messageType.error) return waiting.reject(new Error(header.errorName));
    try {
      waiting.resolve(message.body(waiting.signature));
    } catch (error) {
      waiting.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #end(): void {
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new Error('the connection to the bus ended'));
    }
    this.#waiting.clear();
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.onEnd(this);
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#socket.destroy();
  }
}

/** Undefined for a header that is of no message of ours: fields that no specification has may be of any type, and the bus passes them on. */
function readHeader(bytes: Buffer, frame: Frame): Header | undefined {
  try {
    return parseHeader(bytes, frame);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}
