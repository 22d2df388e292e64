// SPDX-License-Identifier: Apache-2.0
import type { AppReleaseStatus, AppStatus } from '@mbl/formats';
import type { ColumnType, Selectable } from 'kysely';

export interface AppTables {
  app_orders: AppOrderTable;
  desired_apps: DesiredAppView;
  app_reports: AppReportTable;
  app_release_reports: AppReleaseReportTable;
  device_apps: DeviceAppTable;
  app_catalogue: AppCatalogueView;
}

/** PostgreSQL's bigint, which the driver gives as text. */
type Bytes = ColumnType<string, number, number>;

interface AppOrderTable {
  id: string;
  account_id: ColumnType<string, string, never>;
  device_id: ColumnType<string | null, string | null, never>;
  group_id: ColumnType<string | null, string | null, never>;
  team: ColumnType<string, string, never>;
  release: string;
  repository: string | null;
  created_at: Date;
}

interface DesiredAppView {
  device_id: string;
  team: string;
  id: string;
  release: string;
  repository: string | null;
  /** The group whose order it is; null where it is the device's own. */
  group_id: string | null;
  created_at: Date;
}

interface AppReportTable {
  device_id: ColumnType<string, string, never>;
  reported_at: Date;
  problem: ColumnType<string, string | undefined, string>;
  /** A plain date, as text. */
  events_on: string;
  events: number;
}

interface AppReleaseReportTable {
  device_id: ColumnType<string, string, never>;
  team: string;
  release: string;
  running: string;
  state: AppReleaseStatus['state'];
  reason: string;
  detail: string;
  bytes_fetched: Bytes;
  bytes_to_fetch: Bytes;
  since: Date;
}

interface DeviceAppTable {
  account_id: ColumnType<string, string, never>;
  device_id: ColumnType<string, string, never>;
  name: string;
  team: string;
  release: string;
  version: string;
  state: AppStatus['state'];
  since: Date | null;
  restarts: Bytes;
  memory: Bytes;
  reason: string;
  detail: string;
  found_at: Date;
}

interface AppCatalogueView {
  id: string;
  key: string;
  account_id: string;
  name: string;
  version: string;
  team: string;
  devices_count: number;
  running_count: number;
  failing_count: number;
  since: Date;
}

export type DesiredAppRow = Selectable<DesiredAppView>;
export type AppOrderRow = Selectable<AppOrderTable>;
export type AppReleaseRow = Selectable<AppReleaseReportTable>;
export type DeviceAppRow = Selectable<DeviceAppTable>;
export type AppCatalogueRow = Selectable<AppCatalogueView>;
