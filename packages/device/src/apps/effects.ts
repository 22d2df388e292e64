// SPDX-License-Identifier: Apache-2.0
import type { AppReason } from '@mbl/formats';

/** How a file is left: mode, and by their numbers who it belongs to. */
export interface FileOptions {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** What systemd says of a unit (org.freedesktop.systemd1.Service). */
export interface UnitState {
  readonly active: string;
  readonly result: string;
  readonly restarts: number;
  /** The main process: how it ended (CLD_EXITED 1, CLD_KILLED 2, CLD_DUMPED 3; 0: it did not) and the status or signal. */
  readonly code: number;
  readonly status: number;
  /** Milliseconds for which it has been active. */
  readonly activeFor: number;
}

/** All that the manager of apps does to the device. */
export interface Effects {
  /** Undefined where there is no plain file, or one of more than `most` bytes. */
  read(path: string, most: number): Promise<string | undefined>;
  /** Another text each time that the file was written, even with the same content; undefined where there is none. */
  stamp(path: string): Promise<string | undefined>;
  /** The old text or the new one is there after a power cut, and the new one once this resolved. */
  write(path: string, text: string, options: FileOptions): Promise<void>;
  /** A folder of this mode and owner; what else is there goes. Those above it are there. */
  folder(path: string, options: FileOptions): Promise<void>;
  /** With all that is in it; nothing where it is not there. Follows no link, crosses no mount. */
  remove(path: string): Promise<void>;
  /** Names; none where there is no folder. */
  list(path: string): Promise<readonly string[]>;
  /** Within a file system; lasts at the latest with the next `write` beside it. */
  move(from: string, to: string): Promise<void>;
  /** Bytes of a plain file; undefined where there is none. */
  size(path: string): Promise<number | undefined>;
  /** Gives a plain file another mode and owner. */
  give(path: string, options: FileOptions): Promise<void>;

  /** Makes a file unchangeable, and the kernel check what is read of it (fs-verity). False: somebody has it open to write. */
  seal(path: string): Promise<boolean>;
  /** A new file with the first bytes of a plain one, in the place of what is there. */
  copy(from: string, to: string, bytes: number, options: FileOptions): Promise<void>;
  /** The digest that the kernel measures; undefined where there is no sealed file. */
  measure(path: string): Promise<string | undefined>;
  /** Counts all below a folder for a project, which may have so many bytes and files. False: the file system bounds nothing. */
  quota(folder: string, project: number, bytes: number, files: number): Promise<boolean>;
  /** Counts a file for no project any more. */
  free(path: string): Promise<void>;
  /** Bytes that the file system of apps has in all, and files. */
  capacity(): Promise<{ readonly bytes: number; readonly files: number }>;
  /** Type and numbers of a device; undefined where there is none. */
  device(
    path: string,
  ): Promise<{ readonly type: 'c' | 'b'; readonly major: number; readonly minor: number } | undefined>;

  /** Has systemd read its units anew. */
  reload(): Promise<void>;
  /** `wait`: until they are up; a sentence where one is not. */
  start(units: readonly string[], wait: boolean): Promise<string | undefined>;
  /** Until they are down. */
  stop(units: readonly string[]): Promise<void>;
  show(unit: string): Promise<UnitState>;

  pause(ms: number): Promise<void>;
  /** Milliseconds of a clock that never goes back. */
  clock(): number;
  say(line: string): void;
}

/** An app or a release that does not do: the way back is taken with this reason. */
export class Unfit extends Error {
  readonly reason: AppReason;
  constructor(reason: AppReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}
