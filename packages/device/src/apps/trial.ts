// SPDX-License-Identifier: Apache-2.0
import { parseBoot } from '../platform/board.ts';
import { maxTrialBytes, parseTrial } from '../slots/trial.ts';
import type { Effects } from './effects.ts';
import type { AppPaths } from './places.ts';

/**
 * Whether the operating system that runs is on trial. Leaves a note that something waits for the end of it before it looks: `mbl-good-boot` says that
 * the start is a good one before it looks for the note, so that one of both sees the other.
 */
export async function isOnTrial(
  effects: Pick<Effects, 'read' | 'size' | 'write' | 'remove'>,
  paths: AppPaths,
): Promise<boolean> {
  const trial = parseTrial((await effects.read(paths.trialOfSystem, maxTrialBytes)) ?? '');
  const { slot } = parseBoot((await effects.read(paths.boot, 4096)) ?? '');
  if (trial === undefined || trial.slot !== slot) return false;
  await effects.write(paths.waits, '\n', { mode: 0o644 });
  if ((await effects.size(paths.proved)) === undefined) return true;
  await effects.remove(paths.waits);
  return false;
}
