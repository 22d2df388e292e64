// SPDX-License-Identifier: Apache-2.0
import type { DeviceEvent } from '../device-events/model.ts';

/** A value that an observed resource took. `payload` is base64. */
export interface ResourceNotification {
  ep: string;
  path: string;
  ct: string;
  payload: string;
  'max-age': string;
  timestamp: number;
  'original-ep': string;
}

/** A registration. `ep` is the device id, `original-ep` the endpoint name. */
export interface EndpointData {
  ep: string;
  ept: string;
  'original-ep': string;
  q: boolean;
  resources: { path: string; rt?: string; if?: string; ct?: string; obs?: boolean }[];
}

/** The answer to a device request. `payload` is base64. */
export interface AsyncResponse {
  id: string;
  status: number;
  payload?: string;
  ct?: string;
  'max-age'?: string;
  error?: string;
}

/** What a notification channel delivers: Pelion's arrays, and every device event as it is recorded. */
export interface NotificationMessage {
  notifications?: ResourceNotification[];
  registrations?: EndpointData[];
  'reg-updates'?: EndpointData[];
  'de-registrations'?: string[];
  'registrations-expired'?: string[];
  'async-responses'?: AsyncResponse[];
  'device-events'?: DeviceEvent[];
}

/** Where features hand over what the owner of the devices is to hear. Never waits, never throws. */
export type Publish = (message: NotificationMessage) => void;
