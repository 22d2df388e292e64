// SPDX-License-Identifier: Apache-2.0
import {
  type DesiredApps,
  type DesiredRelease,
  formatDesiredApps,
  maxDesiredApps,
  mostDesiredReleases,
  parseDesiredApps,
} from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { DesiredAppRow } from './table.ts';

type Order = Pick<DesiredAppRow, 'team' | 'id' | 'release' | 'repository' | 'group_id'>;

/** The document of a device, and the teams for which there was no room in it. */
export interface Composed {
  readonly text: string;
  readonly leftOut: ReadonlySet<string>;
}

/**
 * What a device is told to have, of one order a team. A document has its bounds: the device's own orders are in it first, then those of
 * its groups, the newest first. The teams of the document are sorted, so that the same orders make the same text.
 */
export function composeDesired(orders: readonly Order[]): Composed {
  const ranked = orders.toSorted(
    (a, b) => Number(a.group_id !== null) - Number(b.group_id !== null) || (a.id < b.id ? 1 : -1),
  );
  const kept: DesiredRelease[] = [];
  const leftOut = new Set<string>();
  const format = (releases: readonly DesiredRelease[]) =>
    formatDesiredApps({
      version: 1,
      releases: releases.toSorted((a, b) => (a.team < b.team ? -1 : 1)),
    });
  for (const { team, release, repository } of ranked) {
    const one = { team, release, ...(repository === null ? {} : { repository }) };
    const fits = kept.length < mostDesiredReleases && format([...kept, one]).length <= maxDesiredApps;
    if (fits) kept.push(one);
    else leftOut.add(team);
  }
  return { text: format(kept), leftOut };
}

/** Whether a device that holds the document `held` has to be told `wanted`. A device that was never told has none, which is no app. */
export function differs(held: string, wanted: string): boolean {
  return normal(held) !== normal(wanted);
}

function normal(text: string): string {
  try {
    return format(parseDesiredApps(text));
  } catch (error) {
    if (!(error instanceof MblError)) throw error;
    return text === '' ? format({ version: 1, releases: [] }) : '';
  }
}

function format({ releases }: DesiredApps): string {
  return formatDesiredApps({
    version: 1,
    releases: releases.toSorted((a, b) => (a.team < b.team ? -1 : 1)),
  });
}
