// SPDX-License-Identifier: Apache-2.0
import type { ColumnType, Generated, Selectable } from 'kysely';

export interface DeviceGroupTables {
  device_groups: DeviceGroupTable;
  device_group_members: { group_id: string; device_id: string };
  counted_device_groups: DeviceGroupTable & { devices_count: ColumnType<number, never, never> };
}

interface DeviceGroupTable {
  id: ColumnType<string, string, never>;
  account_id: ColumnType<string, string, never>;
  name: string;
  description: Generated<string>;
  custom_attributes: ColumnType<Record<string, string>, string | undefined, string>;
  created_at: ColumnType<Date, Date, never>;
  updated_at: Date;
}

export type DeviceGroupRow = Selectable<DeviceGroupTables['counted_device_groups']>;
