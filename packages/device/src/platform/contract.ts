// SPDX-License-Identifier: Apache-2.0
import type { FirmwareBanks } from '../firmware/banks.ts';
import { appMethods, installApps } from './apps.ts';
import { boardMethods, readBoard } from './board.ts';
import { componentMethods, readComponents } from './components.ts';
import { memoryMethods, readMemory } from './memory.ts';
import type { Implementation } from './method.ts';
import { networkMethods, readNetwork } from './network.ts';
import type { SystemOptions } from './options.ts';
import type { ReleaseVerifier } from './release.ts';
import { restart, restartMethods } from './restart.ts';
import type { Units } from './units.ts';
import { installUpdates, updateMethods } from './update.ts';

/** The D-Bus name, the interface, and the path of its only object. */
export const platformName = 'com.mbl.Platform1';
export const platformPath = '/com/mbl/Platform1';

/**
 * All that `mbl-platformd` does for `mbl-cloud-client`. Signatures on the bus, what the service checks and answers, the client's calls
 * and their types follow from it.
 */
export const platformContract = {
  ...restartMethods,
  ...memoryMethods,
  ...networkMethods,
  ...boardMethods,
  ...componentMethods,
  ...updateMethods,
  ...appMethods,
};

export type Platform = Implementation<typeof platformContract>;

/** The running system, as `mbl-platformd` offers it. */
export function systemPlatform(
  options: SystemOptions,
  verifier: ReleaseVerifier,
  banks: FirmwareBanks,
  units: Units,
): Platform {
  return {
    ...restart(options),
    ...readMemory(options),
    ...readNetwork(options),
    ...readBoard(options),
    ...readComponents(options, banks),
    ...installUpdates(options, verifier, banks),
    ...installApps(options, verifier, units),
  };
}
