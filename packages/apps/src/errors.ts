// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** An image that is not well formed. */
export function badImage(what: string, cause?: unknown): MblError {
  return new MblError('apps/bad-image', `The image cannot be read: ${what}.`, {
    remedy: 'Make it again with the tool that made it, such as: docker save -o app.tar NAME',
    cause,
  });
}

/** An image that asks for more than `Limits` allows. */
export function tooLarge(what: string): MblError {
  return new MblError('apps/too-large', `The image is refused: ${what}.`, {
    remedy: 'Leave out what the app does not need; mbl app build --help says the limits.',
  });
}

/** Turns an error of a tar into one of the image. */
export function ofImage(where: string, cause: unknown): unknown {
  if (!(cause instanceof MblError) || cause.code !== 'blocks/bad-archive') return cause;
  return badImage(`${where}: ${cause.message.replace(/^.*?: |\.$/g, '')}`, cause);
}
