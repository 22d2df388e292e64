// SPDX-License-Identifier: Apache-2.0
import type { Slot } from '@mbl/formats';

/** How the boot firmware stands. */
export interface FirmwareStatus {
  /** The bank that runs. */
  readonly bank: Slot;
  /** It proved good. One that did not runs on trial: BL1 goes back to the other one, unless it is confirmed. */
  readonly accepted: boolean;
  /** The size of a bank in bytes. */
  readonly size: number;
}

export type BankPlace = 'running' | 'idle';

/**
 * The two banks of the boot firmware, which only the secure world writes: os/firmware/include/mbl_firmware_update.h. What is asked for in the
 * wrong moment is refused there, with `device/firmware-refused`; what fails otherwise, with `device/firmware-failed`.
 */
export interface FirmwareBanks {
  /** undefined: this board has no banks. */
  status(): Promise<FirmwareStatus | undefined>;
  /** SHA-256, as 64 hex digits, of the first `size` bytes of a bank. */
  digest(place: BankPlace, size: number): Promise<string>;
  /** The first bytes of the running bank. */
  head(size: number): Promise<Buffer>;
  /** Writes the first `size` bytes of a file to the idle bank. */
  write(path: string, size: number): Promise<void>;
  /** The idle bank starts at the next reset, on trial. */
  try(bank: Slot): Promise<void>;
  /** The running bank is good, and what is pending in the counters is stored. May be repeated. */
  confirm(): Promise<void>;
  /** Ends a trial that was asked for or runs: the accepted bank starts from the next reset on. */
  reject(): Promise<void>;
  /**
   * The idle bank becomes what the running one is; the number of erase blocks that were others. Refused while the idle bank is wanted for a
   * trial, or was written since the start.
   */
  copy(): Promise<number>;
}
