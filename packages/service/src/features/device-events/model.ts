// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { DeviceEventRow } from './table.ts';

/** What can happen to a device, with how it is filed. The names are stable. */
export const eventTypes = {
  'device.created': 'INFO',
  'device.updated': 'INFO',
  'device.deleted': 'INFO',
  'device.enrolled': 'SUCCESS',
  'device.enrolment-rearmed': 'INFO',
  'device.certificate-renewed': 'SUCCESS',
  'device.certificate-revoked': 'INFO',
  'device.enrolment-refused': 'FAIL',
  'device.connection-refused': 'FAIL',
  'device.clone-suspected': 'FAIL',
  'device.online': 'SUCCESS',
  'device.offline': 'INFO',
  'device.registered': 'SUCCESS',
  'device.deregistered': 'INFO',
  'device.registration-expired': 'FAIL',
  'device.board-recovered': 'INFO',
  'device.update-ordered': 'INFO',
  'device.update-started': 'INFO',
  'device.update-done': 'SUCCESS',
  'device.update-failed': 'FAIL',
  'device.update-cancelled': 'INFO',
  'device.apps-running': 'SUCCESS',
  'device.apps-fell-back': 'FAIL',
  'device.apps-refused': 'FAIL',
  'device.app-failed': 'FAIL',
  'device.suspended': 'INFO',
  'device.resumed': 'INFO',
} as const;

export type DeviceEventType = keyof typeof eventTypes;

/** What each of them says, and where it has some, its `data`; docs/reference/events.md is made from it. */
export const eventMeanings: Readonly<Record<DeviceEventType, string>> = {
  'device.created': 'The device is in the directory: added by hand, or with its enrolment code',
  'device.updated': 'Fields of the device were changed through the API: `changes`',
  'device.deleted': 'The device was removed from the directory; its events stay',
  'device.enrolled':
    'A code was used: the device has its certificate. `fingerprint`; `replaced`, where the code was re-armed',
  'device.enrolment-rearmed': 'A used code is accepted once more. `code_id`, `until`',
  'device.certificate-renewed':
    'A later certificate was given for the same key. `fingerprint`, `remote_address`',
  'device.certificate-revoked': 'The owner revoked the certificates. `fingerprints`',
  'device.enrolment-refused':
    'Somebody asked for a certificate in the name of the device and got none. `reason`, `remote_address`',
  'device.connection-refused':
    'Somebody connected in the name of the device and was sent away. `reason`, `remote_address`, `fingerprint`',
  'device.clone-suspected':
    'The same, for a reason that only a second holder of the identity or the code gives, or a device that lost its key. `reason`, `remote_address`',
  'device.online': 'The device is connected. `remote_address`, `fingerprint`',
  'device.offline': 'The connection ended. `reason`',
  'device.registered': 'The device registered: its objects can be read',
  'device.deregistered': 'The device said farewell',
  'device.registration-expired': 'The device did not renew its registration in time',
  'device.board-recovered':
    'What the board had to do to come back, told by itself: once for each incident. `incident`, `kind`, `detail`',
  'device.update-ordered':
    'The device was ordered to go to a release. Here and below: `order`, `release`, `state`, `reason`',
  'device.update-started': 'The device has taken the order, and brings the release',
  'device.update-done': 'The device runs the release: it proved good, or ran before',
  'device.update-failed':
    'The device does not run the release: it went back from it, refused it, or could not install it',
  'device.update-cancelled': 'The order was called off, or another one took its place',
  'device.apps-running':
    "All apps of a team's release run, and are healthy. Here and below: `team`, `release`, `state`, `reason`",
  'device.apps-fell-back': 'The apps of the release before run again',
  'device.apps-refused': 'The device does not install the release, and will not try again by itself',
  'device.app-failed': 'An app that did well does not any more. `app`, `version`, too',
  'device.suspended': 'The owner suspended the device: it is refused until it is resumed',
  'device.resumed': 'The owner lets the device in again',
};

/** How a type is filed. Pelion has this in `event_type_description`. */
export type EventResult = (typeof eventTypes)[DeviceEventType];

export const deviceEvent = z
  .object({
    object: z.literal('device-event'),
    id: z.string(),
    device_id: z.string().nullable(),
    endpoint_name: z.string().nullable(),
    date_time: z.string(),
    created_at: z.string(),
    etag: z.string(),
    event_type: z.string(),
    event_type_category: z.string(),
    event_type_description: z.enum(['SUCCESS', 'FAIL', 'INFO']),
    description: z.string(),
    state_change: z.boolean(),
    changes: z.record(z.string(), z.unknown()),
    data: z.record(z.string(), z.string()),
  })
  .meta({ id: 'DeviceEvent' });

export type DeviceEvent = z.infer<typeof deviceEvent>;

export function toDeviceEvent(row: DeviceEventRow): DeviceEvent {
  const time = row.date_time.toISOString();
  return {
    object: 'device-event',
    id: row.id,
    device_id: row.device_id,
    endpoint_name: row.endpoint_name,
    date_time: time,
    created_at: time,
    etag: time,
    event_type: row.event_type,
    event_type_category: row.event_type_category,
    event_type_description: row.event_type_description,
    description: row.description,
    state_change: row.state_change,
    changes: row.changes,
    data: row.data,
  };
}
