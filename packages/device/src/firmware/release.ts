// SPDX-License-Identifier: Apache-2.0
import { truncate } from 'node:fs/promises';
import { BLOCK_SIZE, treeSize } from '@mbl/blocks';
import type { ReleaseComponent, Slot } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Trial, TrialFirmware } from '../slots/trial.ts';
import type { FirmwareBanks } from './banks.ts';

/** The component of a release that is the boot firmware: its file is the FIP of a bank. */
export const firmwareComponent = 'boot-firmware';

/**
 * Whether the boot firmware of a release is to be installed: not where it runs already, by its content. `runs` is the version that the image
 * says. Throws `device/release-refused` where it is another one and cannot be installed.
 */
export async function needsFirmware(
  banks: FirmwareBanks,
  { version, size, sha256 }: ReleaseComponent,
  runs: string,
): Promise<boolean> {
  const refuse = (why: string) =>
    new MblError('device/release-refused', `it brings the boot firmware ${version}, ${why}`);
  const status = await banks.status();
  if (status === undefined) {
    if (version === runs) return false;
    throw refuse('which cannot be installed: this board has no banks for it');
  }
  if (size > status.size) throw refuse(`which has ${size} bytes, and a bank has ${status.size}`);
  return (await banks.digest('running', size)) !== sha256;
}

/**
 * Gives the file that the client makes the firmware in its size, with room for its hash tree as in a partition. What is there stays: a release
 * is judged more than once while it is brought.
 */
export async function makeRoom(path: string, dataSize: number): Promise<void> {
  await truncate(path, dataSize + treeSize(dataSize / BLOCK_SIZE));
}

/**
 * Puts a boot firmware into the idle bank and reads it back: whatever the file holds by now, only what was signed is tried. Throws
 * `device/slot-mismatch`, and what the banks throw.
 */
export async function putFirmware(
  banks: FirmwareBanks,
  { device, size, sha256 }: { readonly device: string; readonly size: number; readonly sha256: string },
): Promise<TrialFirmware> {
  const status = await banks.status();
  if (status === undefined) throw new MblError('device/firmware-refused', 'this board has no banks');
  await banks.write(device, size);
  if ((await banks.digest('idle', size)) !== sha256)
    throw new MblError(
      'device/slot-mismatch',
      'the idle bank does not hold the boot firmware that was signed',
    );
  const bank: Slot = status.bank === 'a' ? 'b' : 'a';
  await truncate(device, 0);
  return { bank, sha256 };
}

/** Ends a trial of the boot firmware, where there is one. */
export async function endFirmwareTrial(banks: FirmwareBanks): Promise<void> {
  await banks.reject().catch((error: unknown) => {
    // Refused: there is none. BL1 went back by itself, say.
    if (!isRefusal(error)) throw error;
  });
}

function isRefusal(error: unknown): boolean {
  return error instanceof MblError && error.code === 'device/firmware-refused';
}

/** Whether the firmware of a trial runs and was accepted. */
export async function firmwareAccepted(banks: FirmwareBanks, { bank }: TrialFirmware): Promise<boolean> {
  const status = await banks.status();
  return status !== undefined && status.bank === bank && status.accepted;
}

/**
 * After a good start: what the secure world waits for. `trial` is what is known of a trial, `slot` the one that runs. Where the system of a
 * release went back, its firmware goes back too, at the next restart. Returns a line for the journal; undefined where there are no banks.
 */
export async function settleFirmware(
  banks: FirmwareBanks,
  trial: Trial | undefined,
  slot: Slot,
): Promise<string | undefined> {
  const status = await banks.status();
  if (status === undefined) return undefined;
  if (!status.accepted && trial?.firmware?.bank === status.bank && trial.slot !== slot) {
    await endFirmwareTrial(banks);
    return `bank ${status.bank} goes back with its system`;
  }
  try {
    await banks.confirm();
  } catch (error) {
    // Sent back in this start, when the platform service saw that its system did.
    if (status.accepted || !isRefusal(error)) throw error;
    return `bank ${status.bank} goes back with its system`;
  }
  return `bank ${status.bank} is good`;
}

/**
 * After a start that proved good: the idle bank becomes what the running one is. What was in it may not start any more, because a counter
 * rose, or because it failed; so whatever happens to the running bank, the same version starts. A power cut leaves the running bank as it
 * is, and the next good start copies the rest. Returns a line for the journal; undefined where nothing was to be done.
 */
export async function keepSecondCopy(banks: FirmwareBanks): Promise<string | undefined> {
  const status = await banks.status();
  if (status === undefined) return undefined;
  const idle: Slot = status.bank === 'a' ? 'b' : 'a';
  const blocks = await banks.copy().catch((error: unknown) => {
    // The running one is on trial, or an update is coming to the other.
    if (isRefusal(error)) return 0;
    throw error;
  });
  return blocks === 0 ? undefined : `bank ${idle} is a copy of bank ${status.bank}: ${blocks} blocks`;
}

/** What is wrong with the firmware that runs beside a system on trial; undefined where it is the one that came with it. */
export async function firmwareFault(
  banks: FirmwareBanks,
  { bank }: TrialFirmware,
): Promise<string | undefined> {
  const status = await banks.status();
  if (status?.bank === bank) return undefined;
  return `its boot firmware did not come up: bank ${status?.bank ?? 'of before'} runs in place of bank ${bank}`;
}
