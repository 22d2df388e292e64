// SPDX-License-Identifier: Apache-2.0
import type { Json } from '../task.ts';
import type { Image } from './image.ts';
import type { Machine } from './machine.ts';

/**
 * What a machine and an image say, without the paths of this working copy: equal recipes give equal values wherever they lie. The
 * contents of the files that they name are not in it.
 */
export function recipeIdentity(machine: Machine, image: Image): Json {
  const { deviceTree: _, firmware, ...board } = machine;
  const { uBoot, ...otherFirmware } = firmware;
  const { where: _where, files: _files, packageFolders: _folders, ...root } = image;
  return toJson({
    machine: { ...board, firmware: { ...otherFirmware, defconfig: uBoot.defconfig } },
    image: root,
  });
}

function toJson(value: unknown): Json {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return value;
  if (Array.isArray(value)) return value.map(toJson);
  const entries = Object.entries(value ?? {}).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries.map(([key, each]) => [key, toJson(each)]));
}
