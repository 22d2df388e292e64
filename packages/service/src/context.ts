// SPDX-License-Identifier: Apache-2.0
import type { Log } from './infra/log.ts';
import type { Db } from './schema.ts';

/** What every feature is handed. */
export interface Context {
  readonly db: Db;
  readonly accountId: string;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  readonly newId: () => string;
  readonly log: Log;
  /** Since when the database has been away, in Unix milliseconds; undefined while it is there. Whoever fails for that alone need not say so. */
  readonly awaySince?: () => number | undefined;
}
