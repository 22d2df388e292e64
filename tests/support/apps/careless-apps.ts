// SPDX-License-Identifier: Apache-2.0
//
// What an app manager would leave that is not careful: the judge has to find it.
import { readFile, rm } from 'node:fs/promises';
import { parseChange, pathsOf } from '@mbl/device';
import type { WriteLog } from '@mbl/lab';
import type { Deed, RecordedApps } from './app-verdict.ts';
import type { CrashedData } from './crashed-data.ts';
import { placesBelow } from './crashed-device.ts';

/**
 * A run as it would have been if nobody had waited for the disk until the deed was said to be done. That of a deed whose order lasts is carried out
 * once more after the cut: what is lost then is lost where the order was somebody's word alone.
 */
export function nothingFlushed(log: WriteLog, { issued, done }: Deed): WriteLog {
  const requests = log.requests.flatMap((request) => {
    if (request.issued < issued || request.issued >= done) return [request];
    return request.operation === 'flush' ? [] : [{ ...request, forced: false }];
  });
  return { ...log, requests };
}

/** Makes of what a cut left what it would have left of another program. False: there is nothing to make of it. */
export type Damage = (data: CrashedData, recorded: RecordedApps) => Promise<boolean>;

const changeOf = async ({ folder }: CrashedData) => {
  const paths = pathsOf(placesBelow(folder));
  const text = await readFile(paths.journal, 'utf8').catch(() => '');
  return { paths, change: parseChange(text) };
};

/** The rollback index is noted last, when the release counts as installed already. */
export const indexLate: Damage = async (data, { team }) => {
  const { paths, change } = await changeOf(data);
  if (change !== undefined) return false;
  await rm(paths.acceptedBy(team), { force: true });
  return true;
};

/** What ran is removed before the new release has proved good. */
export const oldRemoved: Damage = async (data, { releases }) => {
  const { paths, change } = await changeOf(data);
  const old = change?.phase === 'try' ? releases.get(change.from) : undefined;
  for (const { image } of old?.apps ?? []) await rm(paths.installedImage(image.fsVerity));
  return old !== undefined;
};
