// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Slot } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { BankPlace, FirmwareBanks, FirmwareStatus } from './banks.ts';

export const nativeHelper = '/usr/lib/mbl/mbl-native';

/** How the helper ends: os/native/system.h. */
const endings = { done: 0, denied: 3, absent: 4 } as const;

/** The secure world is slow where it shares a processor; it never waits for anything. */
const deadlineMs = 120_000;

/** The banks behind `mbl-native firmware`: os/native/firmware.h. */
export function nativeBanks(helper: string = nativeHelper): FirmwareBanks {
  const run = async (args: readonly string[], streams: Streams = {}): Promise<Ended> =>
    await call(helper, ['firmware', ...args], streams);
  /** Throws where it did not end well. */
  const order = async (args: readonly string[], streams: Streams = {}): Promise<void> => {
    const { code, said } = await run(args, streams);
    if (code === endings.done) return;
    throw new MblError(
      code === endings.denied || code === endings.absent
        ? 'device/firmware-refused'
        : 'device/firmware-failed',
      `the boot firmware: ${said}`,
    );
  };
  const status = async (): Promise<FirmwareStatus | undefined> => {
    let line = '';
    const { code, said } = await run(['status'], {
      output: (bytes) => void (line += bytes.toString('latin1')),
    });
    if (code === endings.absent) return undefined;
    const found = /^bank=([ab]) trial=[01] attempts=(\d+) confirmed=([01]) size=(\d{1,9})\n$/.exec(line);
    if (code !== endings.done || found === null)
      throw new MblError('device/firmware-failed', `the boot firmware does not say how it stands: ${said}`);
    const [, bank, attempts, confirmed, size] = found;
    // Attempts count this start's: an accepted bank starts without.
    return { bank: bank as Slot, accepted: attempts === '0' || confirmed === '1', size: Number(size) };
  };
  return {
    status,
    async digest(place: BankPlace, size: number) {
      const bank = (await status())?.size ?? 0;
      const hash = createHash('sha256');
      // The running bank is read behind the idle one.
      const start = place === 'idle' ? 0 : bank;
      await order(['read', String(start), String(size)], { output: (bytes) => void hash.update(bytes) });
      return hash.digest('hex');
    },
    async head(size) {
      const pieces: Buffer[] = [];
      const start = (await status())?.size ?? 0;
      await order(['read', String(start), String(size)], { output: (bytes) => void pieces.push(bytes) });
      return Buffer.concat(pieces);
    },
    async write(path, size) {
      await order(['write', '0'], { input: { path, size } });
    },
    try: (bank) => order(['try', bank]),
    confirm: () => order(['confirm']),
    reject: () => order(['reject']),
    async copy() {
      let line = '';
      await order(['copy'], { output: (bytes) => void (line += bytes.toString('latin1')) });
      const [, blocks] = /^copied=(\d{1,6})\n$/.exec(line) ?? [];
      if (blocks === undefined)
        throw new MblError('device/firmware-failed', 'the boot firmware: it does not say what was copied');
      return Number(blocks);
    },
  };
}

interface Streams {
  readonly input?: { readonly path: string; readonly size: number };
  readonly output?: (bytes: Buffer) => void;
}

interface Ended {
  readonly code: number | undefined;
  /** What it said of what went wrong. */
  readonly said: string;
}

async function call(helper: string, args: readonly string[], { input, output }: Streams): Promise<Ended> {
  let said = '';
  const child = spawn(helper, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: {},
    timeout: deadlineMs,
    killSignal: 'SIGKILL',
  });
  child.stderr?.on('data', (bytes: Buffer) => (said = (said + bytes.toString('utf8')).slice(-500)));
  child.stdout?.on('data', (bytes: Buffer) => output?.(bytes));
  const ended = new Promise<number | undefined>((resolve) => {
    child.once('error', (error) => {
      said += error.message;
      resolve(undefined);
    });
    child.once('close', (code) => resolve(code ?? undefined));
  });
  if (input !== undefined && child.stdin !== null) {
    const { path, size } = input;
    // It ends before its input where it is refused: how it ended says that.
    if (size > 0)
      await pipeline(createReadStream(path, { end: size - 1 }), child.stdin).catch(() => undefined);
  }
  const code = await ended;
  return {
    code,
    said: said.trim().replace(/^mbl-native: /, '') || `the helper ended with ${code ?? 'no code'}`,
  };
}
