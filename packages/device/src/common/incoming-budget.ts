// SPDX-License-Identifier: Apache-2.0

/** The project (ext4's project quota) of what is fetched of apps. Those of the apps' volumes are higher. */
export const incomingProject = 999;

/**
 * What the folder of incoming images may hold, on a file system of so many bytes: a client that somebody has taken over writes as much as it likes into the files
 * that are made for it there. More than half is of no use: a release and the one that takes its place are on the device together.
 */
export function incomingBudget(bytes: number): { readonly bytes: number; readonly files: number } {
  return { bytes: Math.max(1, Math.floor(bytes / 2)), files: 1024 };
}
