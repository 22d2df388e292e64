// SPDX-License-Identifier: Apache-2.0
import { type ImageIdentity, maxImageBytes, parseImageIdentity, readText } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** Reads what the image says of itself. Throws `device/no-image`, and what `parseImageIdentity` throws. */
export async function loadImage(path: string): Promise<ImageIdentity> {
  const text = await readText(path, maxImageBytes);
  if (text !== undefined) return parseImageIdentity(text, path);
  throw new MblError('device/no-image', `the image does not describe itself: no ${path}`, {
    remedy: 'Build the image again with: ./mbl build',
  });
}
