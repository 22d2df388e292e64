// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/**
 * Ours, beside object 5: which release an update is about; what it does, waits for, or failed at, in one sentence and as a code ('' where nothing is
 * wrong); bytes on the wire so far, and all that it takes, as far as that is known (else 0); the
 * most that an update may cost (0: no limit), and for how long apps may have its restart wait (0: not at all), which the owner sets.
 */
export const mblUpdateModel = defineObject({
  id: 33401,
  name: 'MBL Update',
  version: '1.0',
  multiple: false,
  mandatory: false,
  resources: {
    release: [0, 'Release', 'R', 'single', 'mandatory', 'string'],
    detail: [1, 'Detail', 'R', 'single', 'mandatory', 'string'],
    reason: [2, 'Reason', 'R', 'single', 'mandatory', 'string'],
    bytesFetched: [3, 'Bytes Fetched', 'R', 'single', 'mandatory', 'integer', 'B'],
    bytesToFetch: [4, 'Bytes To Fetch', 'R', 'single', 'mandatory', 'integer', 'B'],
    budget: [5, 'Budget', 'RW', 'single', 'optional', 'integer', 'B'],
    longestDeferral: [6, 'Longest Deferral', 'RW', 'single', 'optional', 'integer', 's'],
  },
});
