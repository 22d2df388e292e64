// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { formatPosition } from '@mbl/formats';
import type { Image } from './image.ts';

/** An error about a package or a unit, with the place of the recipe that asked for it; any other error as it is. */
export function locateImageError(error: unknown, image: Image): unknown {
  if (!(error instanceof MblError)) return error;
  const { package: packageName, unit } = error.details ?? {};
  const at =
    typeof packageName === 'string'
      ? image.where('package', packageName)
      : typeof unit === 'string'
        ? image.where('unit', unit)
        : undefined;
  if (at === undefined) return error;
  return new MblError(error.code, `${formatPosition(at)}: ${error.message}`, {
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    cause: error,
    details: { ...error.details, file: at.file, line: at.line, column: at.column },
  });
}
