// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/**
 * Ours: how the board started, from what, as it was measured, and what it had to do to come back. An incident is `<id> <kind> <detail>`, where the id is
 * `<kind>-<8 hex>`; Forget Incidents takes their ids, separated by commas, as its argument 0. The number is in the range for companies'
 * own objects (LwM2M Core 1.1 Appendix D.2.1: 32769 to 42768); a product reserves a block there, and may have to move it.
 */
export const mblBoardModel = defineObject({
  id: 33400,
  name: 'MBL Board',
  version: '1.0',
  multiple: false,
  mandatory: false,
  resources: {
    slot: [0, 'Slot', 'R', 'single', 'optional', 'string'],
    bootAttempts: [1, 'Boot Attempts', 'R', 'single', 'optional', 'integer'],
    incidents: [2, 'Incidents', 'R', 'multiple', 'mandatory', 'string'],
    bootFirmwareBank: [4, 'Boot Firmware Bank', 'R', 'single', 'optional', 'string'],
    bootFirmwareDigest: [5, 'Boot Firmware Digest', 'R', 'single', 'optional', 'string'],
    rootHash: [6, 'Root Hash', 'R', 'single', 'optional', 'string'],
    forgetIncidents: [3, 'Forget Incidents', 'E', 'single', 'mandatory', 'none'],
  },
});
