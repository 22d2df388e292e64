// SPDX-License-Identifier: Apache-2.0
//
// D-Bus values as bytes (D-Bus Specification, "Marshaling (Wire Format)"). Written for a service whose callers are hostile: dbus-broker passes bodies on
// unseen, and a library that ends the connection at a body which is not well formed would let one app silence all others.

/** A value with its type, as a variant holds it. */
export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** A message that is not well formed, or not of its signature. */
export class Malformed extends Error {}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const path = /^\/(?:[A-Za-z0-9_]+(?:\/[A-Za-z0-9_]+)*)?$/;
/** D-Bus Specification, "Marshaling": the longest array. */
const longestArray = 64 * 1024 * 1024;
const most = { entries: 1024 } as const;

function check(holds: boolean): asserts holds {
  if (!holds) throw new Malformed('the message is not well formed');
}

/** Reads values one after the other, within bounds. All methods throw `Malformed`. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #little: boolean;
  #at = 0;

  /** `bytes` begins where alignment counts from: at a message, or at its body. */
  constructor(bytes: Buffer, little: boolean) {
    this.#bytes = bytes;
    this.#little = little;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  #take(size: number, alignment = size): number {
    const start = Math.ceil(this.#at / alignment) * alignment;
    check(start + size <= this.#bytes.length);
    this.#at = start + size;
    return start;
  }

  align(alignment: number): void {
    this.#take(0, alignment);
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  uint16(): number {
    const at = this.#take(2);
    return this.#little ? this.#bytes.readUInt16LE(at) : this.#bytes.readUInt16BE(at);
  }

  uint32(): number {
    const at = this.#take(4);
    return this.#little ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  uint64(): bigint {
    const at = this.#take(8);
    return this.#little ? this.#bytes.readBigUInt64LE(at) : this.#bytes.readBigUInt64BE(at);
  }

  double(): number {
    const at = this.#take(8);
    return this.#little ? this.#bytes.readDoubleLE(at) : this.#bytes.readDoubleBE(at);
  }

  boolean(): boolean {
    const value = this.uint32();
    check(value <= 1);
    return value === 1;
  }

  string(): string {
    return this.#text(this.uint32());
  }

  objectPath(): string {
    const text = this.string();
    check(path.test(text));
    return text;
  }

  signature(): string {
    return this.#text(this.byte());
  }

  /** UTF-8 without a zero, and a zero behind it. */
  #text(length: number): string {
    const start = this.#take(length + 1, 1);
    const bytes = this.#bytes.subarray(start, start + length);
    check(this.#bytes[start + length] === 0 && !bytes.includes(0));
    try {
      return utf8.decode(bytes);
    } catch {
      throw new Malformed('a text is not UTF-8');
    }
  }

  bytes(): Uint8Array {
    const length = this.uint32();
    const start = this.#take(length, 1);
    // A copy: what is kept of a message must not keep all of it.
    return Uint8Array.from(this.#bytes.subarray(start, start + length));
  }

  /** An array, an entry at a time. */
  list<T>(alignment: number, entry: () => T): T[] {
    const length = this.uint32();
    check(length <= longestArray);
    this.align(alignment);
    const end = this.#at + length;
    check(end <= this.#bytes.length);
    const entries: T[] = [];
    while (this.#at < end) {
      check(entries.length < most.entries);
      entries.push(entry());
    }
    check(this.#at === end);
    return entries;
  }

  /** A variant of a basic type, of bytes, or of an object link. Others are not read: throws. */
  variant(): Variant {
    const signature = this.signature();
    return { signature, value: this.#single(signature) };
  }

  #single(signature: string): unknown {
    switch (signature) {
      case 'y':
        return this.byte();
      case 'b':
        return this.boolean();
      case 'n':
        return (this.uint16() << 16) >> 16;
      case 'q':
        return this.uint16();
      case 'i':
        return this.uint32() | 0;
      case 'u':
        return this.uint32();
      case 'x':
        return BigInt.asIntN(64, this.uint64());
      case 't':
        return this.uint64();
      case 'd':
        return this.double();
      case 's':
        return this.string();
      case 'o':
        return this.objectPath();
      case 'g':
        return this.signature();
      case 'ay':
        return this.bytes();
      case '(qq)':
        this.align(8);
        return [this.uint16(), this.uint16()];
      default:
        throw new Malformed(`a value of type ${signature.slice(0, 16)} is not taken`);
    }
  }

  /** The values of a signature that is made of basic types, `as`, `v` and `a{sv}`. */
  values(signature: string): unknown[] {
    const values = completeTypes(signature).map((type) => {
      if (type === 'v') return this.variant();
      if (type === 'as') return this.list(4, () => this.string());
      if (type !== 'a{sv}') return this.#single(type);
      const entry = (): [string, Variant] => {
        this.align(8);
        return [this.string(), this.variant()];
      };
      return new Map(this.list(8, entry));
    });
    check(this.isAtEnd);
    return values;
  }
}

/** `sa{sv}(qq)` to its complete types. Only for signatures of our own. */
export function completeTypes(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, start: number): number {
  const first = signature[start];
  if (first === 'a') return endOfType(signature, start + 1);
  if (first !== '(' && first !== '{') return start + 1;
  let at = start + 1;
  while (signature[at] !== ')' && signature[at] !== '}') at = endOfType(signature, at);
  return at + 1;
}

/** Writes values, little-endian. What it is given comes from this program: a value that does not fit throws what `Buffer` throws. */
export class Writer {
  #buffer = Buffer.alloc(256);
  #at = 0;

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  align(alignment: number): void {
    this.#grow(Math.ceil(this.#at / alignment) * alignment - this.#at);
  }

  /** Room for `size` bytes, all zeros; where they begin. */
  #grow(size: number): number {
    const start = this.#at;
    this.#at += size;
    while (this.#at > this.#buffer.length)
      this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(this.#buffer.length)]);
    return start;
  }

  #room(size: number): number {
    this.align(size);
    return this.#grow(size);
  }

  raw(bytes: Uint8Array): void {
    // Growing makes another buffer: first the room, then the bytes.
    const at = this.#grow(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** Values by a signature. An array is a list, `a{…}` a `Map`, a structure a list, a variant a `Variant`. */
  values(signature: string, values: readonly unknown[]): this {
    for (const [i, type] of completeTypes(signature).entries()) this.value(type, values[i]);
    return this;
  }

  value(type: string, value: unknown): void {
    if (type === 'ay') {
      const bytes = value as Uint8Array;
      this.value('u', bytes.length);
      this.raw(bytes);
    } else if (type.startsWith('a')) this.#array(type.slice(1), value as Iterable<unknown>);
    else if (type.startsWith('(') || type.startsWith('{')) {
      this.align(8);
      this.values(type.slice(1, -1), value as unknown[]);
    } else if (type === 'v') {
      const variant = value as Variant;
      this.value('g', variant.signature);
      this.value(variant.signature, variant.value);
    } else this.#basic(type, value);
  }

  #array(type: string, values: Iterable<unknown>): void {
    const length = this.#room(4);
    this.align(alignmentOf(type));
    const start = this.#at;
    for (const value of values) this.value(type, value);
    this.#buffer.writeUInt32LE(this.#at - start, length);
  }

  #basic(type: string, value: unknown): void {
    switch (type) {
      case 'y': {
        const at = this.#grow(1);
        this.#buffer.writeUInt8(value as number, at);
        break;
      }
      case 'b':
        this.#writeUInt32(value === true ? 1 : 0);
        break;
      case 'q': {
        const at = this.#room(2);
        this.#buffer.writeUInt16LE(value as number, at);
        break;
      }
      case 'u':
        this.#writeUInt32(value as number);
        break;
      case 'x': {
        const at = this.#room(8);
        this.#buffer.writeBigInt64LE(BigInt(value as number | bigint), at);
        break;
      }
      case 't': {
        const at = this.#room(8);
        this.#buffer.writeBigUInt64LE(BigInt(value as number | bigint), at);
        break;
      }
      case 'd': {
        const at = this.#room(8);
        this.#buffer.writeDoubleLE(value as number, at);
        break;
      }
      case 'g': {
        const bytes = Buffer.from(value as string);
        const at = this.#grow(bytes.length + 2);
        this.#buffer[at] = bytes.length;
        this.#buffer.set(bytes, at + 1);
        break;
      }
      case 's':
      case 'o': {
        const bytes = Buffer.from(value as string);
        this.#writeUInt32(bytes.length);
        const at = this.#grow(bytes.length + 1);
        this.#buffer.set(bytes, at);
        break;
      }
      default:
        throw new TypeError(`no values of type ${type} are written`);
    }
  }

  #writeUInt32(value: number): void {
    const at = this.#room(4);
    this.#buffer.writeUInt32LE(value, at);
  }
}

function alignmentOf(type: string): number {
  switch (type[0]) {
    case 'y':
    case 'g':
    case 'v':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{':
      return 8;
    default:
      return 4;
  }
}
