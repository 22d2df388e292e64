// SPDX-License-Identifier: Apache-2.0
//
// The disk of a board that runs, in somebody else's hands: what is written here the board finds when it reads the next time from the medium itself.
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Board } from '@mbl/lab';

const step = 32 << 20;

/** Where these bytes are, which the disk has to hold exactly once; in bytes from its start. */
export async function findOnDisk(board: Board, wanted: Uint8Array): Promise<number> {
  await using file = await open(diskOf(board));
  const piece = Buffer.alloc(step + wanted.length);
  const found = new Set<number>();
  for (let at = 0; ; at += step) {
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) break;
    const place = piece.subarray(0, bytesRead).indexOf(wanted);
    if (place >= 0) found.add(at + place);
  }
  assert.equal(found.size, 1, `on the disk ${found.size} times`);
  return [...found][0] ?? 0;
}

export async function writeToDisk(board: Board, offset: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(diskOf(board), 'r+');
  await file.write(bytes, 0, bytes.length, offset);
}

const diskOf = (board: Board): string => join(board.directory, 'disk.img');
