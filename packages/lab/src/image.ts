// SPDX-License-Identifier: Apache-2.0
import { type ImageDescription, readImage } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** The image of a machine that an emulator knows. */
export type BoardImage = ImageDescription & Required<Pick<ImageDescription, 'emulator'>>;

/**
 * Reads `image.json` of a build folder (or of a board, which keeps a copy). Throws `lab/unknown-image`, `lab/no-emulator`, and what
 * `readImage` throws.
 */
export async function readBoardImage(directory: string): Promise<BoardImage> {
  const image = await readImage(directory);
  if (image === undefined) {
    throw new MblError('lab/unknown-image', `There is no image in ${directory}.`, {
      remedy: 'Build one with: ./mbl build',
      details: { directory },
    });
  }
  const { emulator, ...rest } = image;
  if (emulator !== undefined) return { ...rest, emulator };
  throw new MblError('lab/no-emulator', `No emulator runs the image in ${directory}.`, {
    remedy: `Add an emulator to the file of the machine ${image.machine}, then type: ./mbl build`,
    details: { directory },
  });
}
