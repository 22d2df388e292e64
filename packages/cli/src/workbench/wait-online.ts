// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Board } from '@mbl/lab';
import type { Device, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Report } from '../progress.ts';

/** What the serial console shows at each step of a boot, in order. */
const steps: readonly [pattern: RegExp, name: string][] = [
  [/BL1: /, 'BL1'],
  [/BL2: /, 'BL2'],
  [/BL31: /, 'BL31'],
  [/U-Boot 20/, 'U-Boot'],
  [/Linux version|Booting Linux/, 'kernel'],
  [/systemd\[1\]|Welcome to/, 'systemd'],
  [/mbl-cloud-client|login:/, 'device services'],
];

const pollEvery = 400;
const shownLines = 12;

/**
 * Waits until the directory says that the device is online. Errors: `cli/board-stopped`, and `cli/not-online` after `timeoutMs`; both with
 * the end of the serial log.
 */
export async function waitOnline(
  client: ServiceClient,
  board: Board,
  options: { timeoutMs: number; signal: AbortSignal; report: Report; since: Date | undefined },
): Promise<Device> {
  const { timeoutMs, signal, report, since } = options;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const [device] = await client.listDevices({ filter: { endpoint_name__eq: board.name }, signal });
    // A board that was just switched on may still be online by its last life.
    const registered = Date.parse(device?.registered_at ?? '');
    if (device?.online === true && (since === undefined || registered >= since.getTime())) return device;
    if (!board.running)
      throw await failure(board, 'cli/board-stopped', 'stopped before its device was online');
    if (Date.now() > deadline)
      throw await failure(board, 'cli/not-online', `was not online within ${timeoutMs / 1000} s`);
    const text = (await board.serial.lines()).map((line) => line.text).join('\n');
    const reached = steps.findLastIndex(([pattern]) => pattern.test(text));
    report((reached + 1) / (steps.length + 1), steps[reached]?.[1] ?? 'power');
    await sleep(pollEvery, undefined, { signal });
  }
}

async function failure(
  board: Board,
  code: 'cli/board-stopped' | 'cli/not-online',
  what: string,
): Promise<MblError> {
  const lines = (await board.serial.lines()).slice(-shownLines).map(({ text }) => `  | ${text}`);
  return new MblError(code, `Board ${board.name} ${what}. Its console ends with:\n${lines.join('\n')}`, {
    remedy: `More of it: ./mbl logs serial ${board.name}. What the service refused: ./mbl device events`,
  });
}
