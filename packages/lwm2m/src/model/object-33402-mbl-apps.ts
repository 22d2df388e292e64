// SPDX-License-Identifier: Apache-2.0
import { defineObject } from './definition.ts';

/**
 * Ours: the apps of the device. Each value is a JSON document of `app-orders.ts` in `@mbl/formats`: all apps that the device is to have (`DesiredApps`), how each
 * team's release stands, how each app does, something to be done once, and the answers to the last ones.
 */
export const mblAppsModel = defineObject({
  id: 33402,
  name: 'MBL Apps',
  version: '1.0',
  multiple: false,
  mandatory: false,
  resources: {
    desired: [0, 'Desired', 'RW', 'single', 'mandatory', 'string'],
    releases: [1, 'Releases', 'R', 'multiple', 'mandatory', 'string'],
    apps: [2, 'Apps', 'R', 'multiple', 'mandatory', 'string'],
    ask: [3, 'Ask', 'W', 'single', 'mandatory', 'string'],
    answers: [4, 'Answers', 'R', 'multiple', 'mandatory', 'string'],
  },
});
