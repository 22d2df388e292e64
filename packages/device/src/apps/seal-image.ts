// SPDX-License-Identifier: Apache-2.0
import { type Effects, type FileOptions, Unfit } from './effects.ts';

/**
 * Makes a file that others have filled one that nobody changes any more. Whoever still has it open to write keeps what he has: a copy takes its place.
 * `size`: its bytes; more are not copied. Throws `Unfit`.
 */
export async function sealImage(
  effects: Pick<Effects, 'free' | 'give' | 'seal' | 'copy' | 'move'>,
  path: string,
  size: number,
  owner: FileOptions,
): Promise<void> {
  await effects.free(path);
  await effects.give(path, owner);
  if (await effects.seal(path)) return;
  const copy = `${path}.copy`;
  await effects.copy(path, copy, size, owner);
  await effects.move(copy, path);
  if (!(await effects.seal(path))) throw new Unfit('app/failed', 'an image is held open, and its copy too');
}
