// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';

export const restartMethods = {
  Reboot: method({}),
};

/** Restarts the board, by a file: `mbl-platformd` needs no right of its own for it. */
export function restart({ rebootFile }: SystemOptions): Implementation<typeof restartMethods> {
  return {
    async reboot() {
      await using file = await open(rebootFile, 'w', 0o644);
      await file.writeFile('requested\n');
    },
  };
}
