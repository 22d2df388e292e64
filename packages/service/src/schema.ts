// SPDX-License-Identifier: Apache-2.0
import type { Kysely } from 'kysely';
import type { ApiKeyTables } from './features/api-keys/table.ts';
import type { AppTables } from './features/apps/table.ts';
import type { CertificateTables } from './features/certificates/table.ts';
import type { DenialTables } from './features/denials/table.ts';
import type { DeviceEventTables } from './features/device-events/table.ts';
import type { DeviceGroupTables } from './features/device-groups/table.ts';
import type { DeviceTables } from './features/devices/table.ts';
import type { EnrolmentTables } from './features/enrolment/table.ts';
import type { IncidentTables } from './features/incidents/table.ts';
import type { ReleaseOrderTables } from './features/release-orders/table.ts';
import type { SubscriptionTables } from './features/subscriptions/table.ts';

/** Every table, each declared by the feature that owns it. */
export type Schema = ApiKeyTables &
  AppTables &
  CertificateTables &
  DenialTables &
  DeviceEventTables &
  DeviceGroupTables &
  DeviceTables &
  EnrolmentTables &
  IncidentTables &
  ReleaseOrderTables &
  SubscriptionTables;

export type Db = Kysely<Schema>;
