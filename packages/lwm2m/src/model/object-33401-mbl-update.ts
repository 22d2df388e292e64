// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/** Ours, beside object 5: which release an update is about, and in one sentence what it does, waits for, or failed at. */
export const mblUpdateModel = defineObject({
  id: 33401,
  name: 'MBL Update',
  version: '1.0',
  multiple: false,
  mandatory: false,
  resources: {
    release: [0, 'Release', 'R', 'single', 'mandatory', 'string'],
    detail: [1, 'Detail', 'R', 'single', 'mandatory', 'string'],
  },
});
