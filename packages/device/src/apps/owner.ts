// SPDX-License-Identifier: Apache-2.0
import type { AppDescription } from '@mbl/formats';

/** The ids of the host that an app in a slot has. */
export interface AppIds {
  /** Where the ids that the app sees begin on the host, and how many there are. */
  readonly base: number;
  readonly count: number;
  /** Who its process and its volumes belong to, by the host's numbers. */
  readonly uid: number;
  readonly gid: number;
  /** The same, by the numbers that the app sees. */
  readonly inside: { readonly uid: number; readonly gid: number };
}

const oneBase = 200_000;
const rangeBase = 1_000_000;
const rangeSize = 65_536;
export const mostSlots = 4096;

/**
 * One user: an id of its own, which the app sees as it is: libdbus and GDBus authenticate with the id that they see. Several: a range of
 * 65,536 of which the app sees 0 to 65,535.
 */
export function idsOf({ users, user }: Pick<AppDescription, 'users' | 'user'>, slot: number): AppIds {
  if (users === 'one') {
    const uid = oneBase + slot;
    return { base: uid, count: 1, uid, gid: uid, inside: { uid, gid: uid } };
  }
  const base = rangeBase + slot * rangeSize;
  const { uid, gid } = user;
  return { base, count: rangeSize, uid: base + uid, gid: base + gid, inside: { uid, gid } };
}

/** The project of an app's volumes, whose blocks and files are counted together. */
export const projectOf = (slot: number): number => 1000 + slot;
