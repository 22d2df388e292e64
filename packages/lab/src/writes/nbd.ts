// SPDX-License-Identifier: Apache-2.0
import { maximumData } from './log-format.ts';

/**
 * The server's half of the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md), as far as QEMU's client speaks it: fixed newstyle
 * negotiation, simple replies. It does no I/O: bytes go in, answers and requests come out.
 */
export interface NbdExport {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

export type NbdCommand = 'read' | 'write' | 'disconnect' | 'flush' | 'discard' | 'zero';

/** A request of the transmission phase. */
export interface NbdRequest {
  readonly command: NbdCommand;
  readonly forced: boolean;
  /** The client's number for it, 8 bytes. */
  readonly cookie: Buffer;
  readonly offset: number;
  readonly length: number;
  /** Of a write; as many bytes as `length`. */
  readonly data: Buffer;
}

export interface NbdProgress {
  /** To be sent, in this order. */
  readonly answers: Buffer[];
  readonly requests: NbdRequest[];
  /** The client left, or said something that has no answer: close. */
  readonly closed: boolean;
}

const commands: readonly (NbdCommand | undefined)[] = [
  'read',
  'write',
  'disconnect',
  'flush',
  'discard',
  undefined,
  'zero',
];
const option = { exportName: 1, abort: 2, info: 6, go: 7 } as const;
const reply = { ack: 1, info: 3, unsupported: 0x80000001, invalid: 0x80000003, unknown: 0x80000006 } as const;
const info = { export: 0, blockSize: 3 } as const;
const optionMagic = 'IHAVEOPT';
const requestMagic = 0x25609513;
const requestLength = 28;
const maximumOption = 8192;
/** Has flags; flush, FUA, trim and write zeroes may be sent. */
const transmissionFlags = 1 | 4 | 8 | 32 | 64;
const sectorSize = 512;

/** Errors of a reply, by their numbers in the protocol. */
export const nbdError = { io: 5, invalid: 22 } as const;

/** What a server says first. */
export function nbdGreeting(): Buffer {
  // Fixed newstyle; no zeros after an export's name.
  return Buffer.concat([Buffer.from(`NBDMAGIC${optionMagic}`, 'latin1'), Buffer.from([0, 3])]);
}

/** A simple reply, before the data of a read that succeeded. */
export function nbdReply(cookie: Buffer, error = 0): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(error, 4);
  cookie.copy(head, 8);
  return head;
}

/** One client's connection. */
export class NbdSession {
  readonly #exports: readonly NbdExport[];
  #rest: Buffer = Buffer.alloc(0);
  /** Pieces that came while a long message is not complete; joined when it is. */
  #pieces: Buffer[] = [];
  #wanted = 0;
  #state: 'flags' | 'options' | 'transmission' | 'closed' = 'flags';
  #selected: NbdExport | undefined;

  constructor(exports: readonly NbdExport[]) {
    this.#exports = exports;
  }

  /** What the client chose; from then on requests come. */
  get selected(): NbdExport | undefined {
    return this.#selected;
  }

  /** Takes what the client sent. */
  take(bytes: Buffer): NbdProgress {
    const progress = { answers: [] as Buffer[], requests: [] as NbdRequest[], closed: false };
    this.#pieces.push(bytes);
    this.#wanted -= bytes.length;
    if (this.#wanted > 0) return progress;
    this.#rest = Buffer.concat([this.#rest, ...this.#pieces]);
    this.#pieces = [];
    while (this.#state !== 'closed') {
      const used = this.#step(progress);
      if (used === 0) break;
      this.#rest = this.#rest.subarray(used);
    }
    return { ...progress, closed: this.#state === 'closed' };
  }

  /** Handles one message; gives its length, 0 when it is not complete. */
  #step(progress: NbdProgress): number {
    if (this.#state === 'flags') return this.#flags();
    if (this.#state === 'options') return this.#option(progress);
    return this.#request(progress);
  }

  #has(length: number): boolean {
    this.#wanted = length - this.#rest.length;
    return this.#wanted <= 0;
  }

  #flags(): number {
    if (!this.#has(4)) return 0;
    // Both sides have to know fixed newstyle and to leave out the zeros; nothing else was offered.
    this.#state = this.#rest.readUInt32BE(0) === 3 ? 'options' : 'closed';
    return 4;
  }

  #option(progress: NbdProgress): number {
    if (!this.#has(16)) return 0;
    const length = this.#rest.readUInt32BE(12);
    if (this.#rest.toString('latin1', 0, 8) !== optionMagic || length > maximumOption) {
      this.#state = 'closed';
      return 0;
    }
    if (!this.#has(16 + length)) return 0;
    const number = this.#rest.readUInt32BE(8);
    const data = this.#rest.subarray(16, 16 + length);
    const answer = (type: number, body: Buffer = Buffer.alloc(0)): void => {
      progress.answers.push(optionReply(number, type, body));
    };
    if (number === option.abort) {
      answer(reply.ack);
      this.#state = 'closed';
    } else if (number === option.exportName) {
      this.#selected = this.#find(data.toString('utf8'));
      if (this.#selected !== undefined) progress.answers.push(exportBody(this.#selected));
      this.#state = this.#selected === undefined ? 'closed' : 'transmission';
    } else if (number === option.info || number === option.go) {
      const nameLength = length < 6 ? length : data.readUInt32BE(0);
      if (nameLength > length - 6) answer(reply.invalid);
      else {
        const found = this.#find(data.toString('utf8', 4, 4 + nameLength));
        if (found === undefined) answer(reply.unknown);
        else {
          answer(reply.info, Buffer.concat([uint16(info.export), exportBody(found)]));
          answer(reply.info, blockSizes());
          answer(reply.ack);
          if (number === option.go) {
            this.#selected = found;
            this.#state = 'transmission';
          }
        }
      }
    } else {
      answer(reply.unsupported);
    }
    return 16 + length;
  }

  #find(name: string): NbdExport | undefined {
    return this.#exports.find((entry) => entry.name === name);
  }

  #request(progress: NbdProgress): number {
    if (!this.#has(requestLength)) return 0;
    const command = commands[this.#rest.readUInt16BE(6)];
    const offset = this.#rest.readBigUInt64BE(16);
    const length = this.#rest.readUInt32BE(24);
    const carries = command === 'write' ? length : 0;
    if (this.#rest.readUInt32BE(0) !== requestMagic || command === 'disconnect' || carries > maximumData) {
      this.#state = 'closed';
      return 0;
    }
    if (!this.#has(requestLength + carries)) return 0;
    const cookie = this.#rest.subarray(8, 16);
    const size = BigInt(this.#selected?.size ?? 0);
    const aligned = Number(offset % BigInt(sectorSize)) + (length % sectorSize) === 0;
    const fits = command === 'flush' || (length > 0 && aligned && offset + BigInt(length) <= size);
    if (command === undefined || !fits || (command === 'read' && length > maximumData)) {
      progress.answers.push(nbdReply(cookie, nbdError.invalid));
    } else {
      progress.requests.push({
        command,
        forced: (this.#rest.readUInt16BE(4) & 1) !== 0,
        cookie,
        offset: command === 'flush' ? 0 : Number(offset),
        length: command === 'flush' ? 0 : length,
        data: this.#rest.subarray(requestLength, requestLength + carries),
      });
    }
    return requestLength + carries;
  }
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** An export's size and what may be asked of it. */
function exportBody({ size }: NbdExport): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(size));
  bytes.writeUInt16BE(transmissionFlags, 8);
  return bytes;
}

/** Smallest, preferred, largest. */
function blockSizes(): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(info.blockSize);
  [sectorSize, 4096, maximumData].forEach((size, index) => bytes.writeUInt32BE(size, 2 + 4 * index));
  return bytes;
}

function optionReply(number: number, type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(0x3e889045565a9n, 0);
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(body.length, 16);
  return Buffer.concat([head, body]);
}
