// SPDX-License-Identifier: Apache-2.0
import type { AppAsk } from '@mbl/formats';

// The shapes that a caller of the API sees. They name only what the service promises.
export type { AppAnswerView } from '../features/apps/ask-routes.ts';
export type {
  CatalogueApp,
  DeviceApp,
  DeviceAppRelease,
  DeviceApps,
  GroupAppRelease,
} from '../features/apps/model.ts';
export type { DeviceEvent } from '../features/device-events/model.ts';
export type { DeviceGroup } from '../features/device-groups/routes.ts';
export type { Device } from '../features/devices/model.ts';
export type {
  AsyncResponse,
  EndpointData,
  NotificationMessage,
  ResourceNotification,
} from '../features/notifications/message.ts';
export type { DeviceRelease, GroupReleaseOrder, ReleaseOrder } from '../features/release-orders/model.ts';
export type { ReleasePublication } from '../features/releases/publication-routes.ts';
export type { ReleaseView } from '../features/releases/model.ts';
export type { ReleaseWanted } from '../features/releases/wanted.ts';
export type { ResourceValue } from '../features/requests/values.ts';

export interface Enrolment {
  id: string;
  device_id: string;
  endpoint_name: string;
  /** The one-time code: this is the only time that it is shown. */
  code: string;
  expires_at: string | null;
}

/** A code that was used, and may be used again. */
export interface RearmedEnrolment {
  id: string;
  device_id: string;
  endpoint_name: string;
  claimed_at: string | null;
  /** Until then the code is accepted once more, for another key. */
  rearmed_until: string | null;
}

export interface Denial {
  id: string;
  endpoint_name: string;
  device_id: string | null;
  door: 'est' | 'lwm2m';
  reason: string;
  description: string;
  fingerprint: string;
  remote_address: string;
  times: number;
  created_at: string;
  last_at: string;
}

export interface RegisteredLink {
  uri: string;
  rt: string;
  type: string;
  obs: boolean;
}

/** Which items of a list, in the API's own words: `{ state__eq: 'registered' }`. */
export type Filter = Readonly<Record<string, string>>;

/** What an app can be asked to do once. */
export type AppAction = AppAsk['action'];
