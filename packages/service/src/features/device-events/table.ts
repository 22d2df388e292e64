// SPDX-License-Identifier: Apache-2.0
import type { ColumnType, Selectable } from 'kysely';
import type { EventResult } from './model.ts';

export interface DeviceEventTables {
  device_events: DeviceEventTable;
}

type Json<T> = ColumnType<T, string, never>;

interface DeviceEventTable {
  id: string;
  account_id: string;
  device_id: string | null;
  endpoint_name: string | null;
  date_time: Date;
  event_type: string;
  event_type_category: string;
  event_type_description: EventResult;
  description: string;
  state_change: boolean;
  changes: Json<Record<string, unknown>>;
  data: Json<Record<string, string>>;
}

export type DeviceEventRow = Selectable<DeviceEventTable>;
