// SPDX-License-Identifier: Apache-2.0

/** How much an image may ask for, whatever it says of itself. */
export interface Limits {
  /** Bytes of all files of all layers, also of those that a later layer takes away. */
  readonly bytes: number;
  /** Bytes of one file. */
  readonly file: number;
  /** Entries of all layers. */
  readonly entries: number;
  /** Bytes of all names, targets of links and extended attributes. */
  readonly text: number;
  /** Folders in one another. */
  readonly depth: number;
  readonly layers: number;
  /** How many times larger a layer may be than its compressed form, above `ratioFrom` bytes. */
  readonly ratio: number;
  readonly ratioFrom: number;
  /** Bytes of a manifest, an index or a configuration. */
  readonly document: number;
}

const mebibyte = 1024 * 1024;

export const defaultLimits: Limits = {
  bytes: 4096 * mebibyte,
  file: 1024 * mebibyte,
  entries: 250_000,
  text: 64 * mebibyte,
  depth: 64,
  layers: 128,
  ratio: 300,
  ratioFrom: 64 * mebibyte,
  document: 4 * mebibyte,
};
