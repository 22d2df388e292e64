// SPDX-License-Identifier: Apache-2.0
import type { Slot } from '@mbl/formats';
import { fipSize } from '@mbl/releases';
import type { FirmwareBanks } from './banks.ts';

/** The boot firmware that runs. */
export interface MeasuredFirmware {
  readonly bank: Slot;
  /** Of the firmware image package, 64 hex digits: what a release signs. */
  readonly sha256: string;
}

/** Its table of contents, in any case. */
const headBytes = 4096;

/** Reads what the running bank holds. undefined: this board has no banks. Throws what they throw. */
export async function measureFirmware(banks: FirmwareBanks): Promise<MeasuredFirmware | undefined> {
  const status = await banks.status();
  if (status === undefined) return undefined;
  const size = fipSize(await banks.head(headBytes), status.size);
  // It runs: what is not read as a package is still what is there.
  return { bank: status.bank, sha256: await banks.digest('running', size ?? status.size) };
}
