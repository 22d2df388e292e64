// SPDX-License-Identifier: Apache-2.0
import type { Medium } from './log-format.ts';
import type { LoggedRequest, WriteLog } from './write-log.ts';

/**
 * A time in which nothing becomes durable. Cut the power in it, and the medium holds all that was settled until then and any part of what is
 * pending: nothing orders the pending writes, whether they were completed or not, and each may be there in part, sector by sector.
 */
export interface Epoch {
  /** What became durable at its start: covered by a flush that completed there, or forced. In the order of issue. */
  readonly settled: readonly LoggedRequest[];
  /** What was issued until its end and is not durable. In the order of issue. */
  readonly pending: readonly LoggedRequest[];
  /** The log's positions between which the power may go: after `from` records at the earliest, after `until` at the latest. */
  readonly from: number;
  readonly until: number;
}

/** Divides what was written to a medium into its epochs. Each write settles once, or stays pending to the end. */
export function epochsOf(log: WriteLog, medium: Medium): Epoch[] {
  const events = new Map<number, LoggedRequest>();
  for (const request of log.requests) {
    if (request.medium !== medium) continue;
    events.set(request.issued, request);
    if (request.completed !== undefined) events.set(request.completed, request);
  }
  const epochs: Epoch[] = [];
  let pending: LoggedRequest[] = [];
  let settled: LoggedRequest[] = [];
  let from = 0;
  for (let position = 0; position < log.records; position++) {
    const request = events.get(position);
    if (request === undefined) continue;
    if (request.issued === position) {
      if (request.operation !== 'flush') pending.push(request);
      continue;
    }
    const durable = (write: LoggedRequest): boolean =>
      request.operation === 'flush'
        ? write.completed !== undefined && write.completed < request.issued
        : write === request && request.forced;
    if (!pending.some(durable)) continue;
    epochs.push({ settled, pending: [...pending], from, until: position });
    settled = pending.filter(durable);
    pending = pending.filter((write) => !durable(write));
    from = position + 1;
  }
  epochs.push({ settled, pending, from, until: log.records });
  return epochs;
}
