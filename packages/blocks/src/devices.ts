// SPDX-License-Identifier: Apache-2.0

/** Something that holds blocks of 4096 bytes: the running slot, an app's image. It is not trusted. */
export interface BlockSource {
  /** As reports name it: `root_a`. */
  readonly name: string;
  readonly blocks: number;
  /** Fills `into`, which is whole blocks, from block `first` on. Throws what a read throws. */
  read(first: number, into: Uint8Array, signal: AbortSignal): Promise<void>;
}

/** The idle slot. */
export interface BlockDisk extends BlockSource {
  /** Writes whole blocks from block `first` on. Throws what a write throws, such as `ENOSPC`. */
  write(first: number, blocks: Uint8Array, signal: AbortSignal): Promise<void>;
  /** What was written is on the medium when this is done, and later reads come from there. */
  flush(signal: AbortSignal): Promise<void>;
}

/** What a mirror answers to a request for a range. */
export interface MirrorAnswer {
  /** The bytes of the range, in pieces of any size. The caller stops reading what is too long; `return()` ends the connection. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** A server that has the files of a release. It is not trusted. */
export interface Mirror {
  readonly name: string;
  /**
   * Asks for bytes `start` to `end` (not included) of a file. Throws `blocks/mirror-unreachable` where another try may help, another error
   * where it will not.
   */
  get(file: string, start: number, end: number, signal: AbortSignal): Promise<MirrorAnswer>;
}

/** Where a transfer keeps its few bytes over a power cut. A write is whole or not there at all: a new file that takes the old one's name. */
export interface JournalStore {
  read(): Promise<Uint8Array | undefined>;
  write(bytes: Uint8Array): Promise<void>;
}
