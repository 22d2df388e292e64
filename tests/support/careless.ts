// SPDX-License-Identifier: Apache-2.0
import type { Board, LoggedRequest, WriteLog } from '@mbl/lab';
import { type BootStateWrite, partitionOf } from './update-states.ts';

/** A recorded run as it would have been with a device that does not wait for the disk: nothing makes these writes durable. */
function unwaited(log: WriteLog, careless: (request: LoggedRequest) => boolean): WriteLog {
  const requests = log.requests.map((request) =>
    request.operation === 'write' && careless(request)
      ? { ...request, completed: undefined, forced: false }
      : request,
  );
  return { ...log, requests };
}

const within = (board: Board, name: string, { medium, offset }: LoggedRequest): boolean => {
  const part = partitionOf(board, name);
  return medium === 'disk' && offset >= part.offset && offset < part.offset + part.size;
};

/** The boot state is written before the start of the root is on the disk. */
export function slotNotFlushed(board: Board, log: WriteLog, tried: BootStateWrite): WriteLog {
  const { offset } = partitionOf(board, 'root_b');
  const start = log.requests.findLast((one) => one.issued < tried.issued && one.offset === offset);
  return unwaited(log, (request) => request === start);
}

/** The boot state is written before the note of the trial is on the disk. */
export function noteNotFlushed(board: Board, log: WriteLog, tried: BootStateWrite): WriteLog {
  const slot = log.requests.findLast((one) => one.issued < tried.issued && within(board, 'root_b', one));
  return unwaited(
    log,
    (request) =>
      request.issued > (slot?.issued ?? 0) &&
      request.issued < tried.issued &&
      within(board, 'config', request),
  );
}
