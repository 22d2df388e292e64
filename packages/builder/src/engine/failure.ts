// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Task } from '../task.ts';
import { errnoOf } from './errno.ts';

/** The error for a task that failed: names it, shows the end of its log unless the cause is plain, and says where the log is. */
export function taskFailure(
  task: Task,
  cause: unknown,
  place: {
    readonly log: string;
    readonly folder: string;
    readonly lines: readonly string[];
    readonly full: boolean;
  },
): MblError {
  const details = { task: task.name, log: place.log, lines: [...place.lines] };
  const full = place.full ? fullError(cause, place.folder, details) : diskFull(cause, place.folder, details);
  if (full !== undefined) return full;
  if (cause instanceof MblError && cause.code !== 'builder/command-failed')
    return new MblError(cause.code, `${task.title}: ${cause.message}`, {
      ...(cause.remedy === undefined ? {} : { remedy: cause.remedy }),
      cause,
      details: { ...cause.details, ...details },
    });
  const message = cause instanceof Error ? cause.message : String(cause);
  const shown = place.lines.map((line) => `\n  | ${line}`).join('');
  return new MblError('builder/task-failed', `${task.title} failed: ${message}${shown}`, {
    remedy: `The whole log is in ${place.log}`,
    cause,
    details,
  });
}

/** A `builder/disk-full` when that is what went wrong at some depth. */
export function diskFull(
  cause: unknown,
  folder: string,
  details?: Record<string, unknown>,
): MblError | undefined {
  for (let error = cause, i = 0; error instanceof Error && i < 10; error = error.cause, i++) {
    const code = errnoOf(error);
    if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'builder/disk-full') continue;
    return fullError(cause, folder, details);
  }
  return undefined;
}

function fullError(cause: unknown, folder: string, details?: Record<string, unknown>): MblError {
  return new MblError('builder/disk-full', `The disk is full: the build needs more space in ${folder}.`, {
    remedy: `Free some space there (df -h ${folder}), then run the same command again: it continues from here.`,
    cause,
    ...(details === undefined ? {} : { details }),
  });
}
