// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Outcome, runProgram } from '../common/run.ts';

/** What the storage service needs of the system. */
export interface Tools {
  /** Runs a program to its end, or for `deadlineMs` at most. */
  run(command: string, args: readonly string[], deadlineMs: number): Promise<Outcome>;
  /** The first bytes of a device; fewer where it is shorter. Throws what the read throws. */
  read(device: string, length: number): Promise<Buffer>;
  /** Writes to a device. */
  write(device: string, bytes: Uint8Array, offset: number): Promise<void>;
  /** Returns when all that was written to the device is on it. */
  sync(device: string): Promise<void>;
  /** A line for whoever looks at the console, in every image. */
  say(line: string): void;
}

export const systemTools: Tools = {
  run: runProgram,
  async read(device, length) {
    await using file = await open(device);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  },
  async write(device, bytes, offset) {
    await using file = await open(device, 'r+');
    await file.write(bytes, 0, bytes.length, offset);
    await file.sync();
  },
  async sync(device) {
    await using file = await open(device, 'r+');
    await file.sync();
  },
  say(line) {
    try {
      // Level "error": a quiet console shows it too.
      writeFileSync('/dev/kmsg', `<3>mbl-storage: ${line}\n`);
    } catch {
      process.stderr.write(`${line}\n`);
    }
  },
};
