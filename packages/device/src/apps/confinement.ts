// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The profile of apps, by which the kernel confines each of them: os/apparmor/mbl-app. */
export const profileName = 'mbl-app';

export interface ConfinementPlaces {
  /** The compiled profile in the signed root. */
  readonly policy: string;
  /** The folder of AppArmor in securityfs. */
  readonly kernel: string;
}

export const confinementPlaces: ConfinementPlaces = {
  policy: '/usr/lib/mbl/apps/mbl-app.apparmor',
  kernel: '/sys/kernel/security/apparmor',
};

/**
 * Loads the profile of apps, once in a start of the device. Undefined where it is in force; else why it is not: crun starts an app without a profile where
 * the kernel has no AppArmor, so whoever starts apps has to know. Throws nothing.
 */
export async function confineApps({ policy, kernel }: ConfinementPlaces): Promise<string | undefined> {
  try {
    if (await isInForce(kernel)) return undefined;
    const bytes = await readFile(policy);
    await using file = await open(join(kernel, '.load'), constants.O_WRONLY);
    // In one call: each is a policy of its own to the kernel.
    await file.write(bytes);
    return (await isInForce(kernel)) ? undefined : `the kernel did not take the profile ${profileName}`;
  } catch (error) {
    return `the kernel has no profile ${profileName}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function isInForce(kernel: string): Promise<boolean> {
  const profiles = await readFile(join(kernel, 'profiles'), 'utf8');
  return profiles.split('\n').includes(`${profileName} (enforce)`);
}
