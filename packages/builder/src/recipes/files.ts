// SPDX-License-Identifier: Apache-2.0
import { constants, open, stat } from 'node:fs/promises';
import {
  displayPath,
  formatPosition,
  type Located,
  parseRecipe,
  recipeError,
  type RecipeNode,
} from '@mbl/formats';

/** Reads and parses a recipe. Throws `formats/bad-recipe`, and the system's own error where the file cannot be read. */
export async function loadFile(file: string, name: string): Promise<RecipeNode> {
  // O_NONBLOCK: a named pipe without a writer would be waited for without end.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  // One byte more than a recipe may have, so that the parser can refuse it.
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(256 * 1024 + 1) });
  return parseRecipe(file, buffer.subarray(0, bytesRead), name);
}

/** Throws `builder/missing-file` with the place where a recipe names what is not there. */
export async function mustExist({ value, at }: Located<string>): Promise<void> {
  try {
    await stat(value);
  } catch (cause) {
    throw recipeError('builder/missing-file', at, `${displayPath(value)} does not exist`, {
      remedy: `Make it, or correct ${formatPosition(at)}; a path starts at the folder of the file that names it.`,
      cause,
    });
  }
}
