// SPDX-License-Identifier: Apache-2.0
//
// Calls this start a good one: docs/decisions/0012. Every block of the root is read first, so that one that fails its check restarts the
// board (dm-verity, restart_on_corruption) while its start still counts as an attempt. The boot firmware comes last, because its counters
// never go back: docs/decisions/0022.
import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { BootState } from '@mbl/formats';
import type { FirmwareBanks } from '../firmware/banks.ts';
import { nativeBanks, nativeHelper } from '../firmware/native-banks.ts';
import { keepSecondCopy, settleFirmware } from '../firmware/release.ts';
import { changeBootState, confirmed } from '../slots/boot-state.ts';
import { TrialStore } from '../slots/trial.ts';

/** Reads a file or device to its end. Returns its size in bytes; throws what a read throws. */
export async function readWhole(path: string): Promise<number> {
  await using file = await open(path);
  const chunk = Buffer.alloc(1024 * 1024);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) return position;
    position += bytesRead;
  }
}

/** Writes that the slot which was started last is good and the one to start first. Nothing is written when that stands there. */
export async function confirmBoot(partition: string): Promise<BootState> {
  return await changeBootState(partition, confirmed);
}

export interface GoodBootOptions {
  /** The partition of the boot state. */
  readonly state: string;
  /** Folder of what is known of updates. */
  readonly update: string;
  readonly banks: FirmwareBanks;
  readonly say: (line: string) => void;
}

/** Calls this start a good one, whose root was read: first for the boot loader, then for the firmware, whose counters never go back. */
export async function goodBoot({ state, update, banks, say }: GoodBootOptions): Promise<void> {
  const { tried } = await confirmBoot(state);
  say(`slot ${tried} is good`);
  const settled = await settleFirmware(banks, await new TrialStore(update).trial(), tried);
  say(`boot firmware: ${settled ?? 'this board has no banks'}`);
  try {
    const copied = await keepSecondCopy(banks);
    if (copied !== undefined) say(`boot firmware: ${copied}`);
  } catch (error) {
    // The start is a good one all the same, and whoever waits for that (mbl-good-boot.service) is told so; the next start tries again.
    const why = error instanceof Error ? error.message : String(error);
    say(`<3>boot firmware: there is no second copy: ${why}`);
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      root: { type: 'string', default: '/dev/mapper/root' },
      update: { type: 'string', default: '/config/update' },
      native: { type: 'string', default: nativeHelper },
      state: { type: 'string', default: '/run/mbl/disk/state' },
    },
  });
  const { root, native, ...places } = values;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(`${await readWhole(root)} bytes of the root read`);
  await goodBoot({ ...places, banks: nativeBanks(native), say });
}
