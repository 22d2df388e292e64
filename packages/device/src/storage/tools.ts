// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

export interface Outcome {
  /** undefined: it did not end within its deadline, was killed, or could not be started. */
  readonly code: number | undefined;
  /** What it said last, a line. */
  readonly said: string;
}

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

/** Most of what a program says that is kept, in characters. */
const keptOutput = 64 * 1024;

export const systemTools: Tools = {
  async run(command, args, deadlineMs) {
    return await new Promise((resolve) => {
      let said = '';
      const child = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        // What an administrator's file would say must not decide how file systems are made.
        env: {
          PATH: '/usr/sbin:/usr/bin',
          LC_ALL: 'C',
          MKE2FS_CONFIG: '/dev/null',
          E2FSCK_CONFIG: '/dev/null',
        },
      });
      const done = (code: number | undefined): void => {
        clearTimeout(timer);
        const lines = said.split('\n').map((line) => line.trim());
        resolve({ code, said: lines.findLast((line) => line !== '') ?? '' });
      };
      // A program that waits for a disk which does not answer cannot be killed: nobody waits for its end.
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        child.unref();
        said += `\nno end within ${deadlineMs / 1000} s`;
        done(undefined);
      }, deadlineMs);
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-keptOutput)));
      child.once('error', (error) => {
        said += `\n${error.message}`;
        done(undefined);
      });
      child.once('close', (code) => done(code ?? undefined));
    });
  },
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
