// SPDX-License-Identifier: Apache-2.0
import type { ColumnType, Generated, Selectable } from 'kysely';

export type DeviceState = 'unenrolled' | 'cloud_enrolling' | 'bootstrapped' | 'registered' | 'deregistered';

/** One resource of a registration, as Pelion's `/v2/endpoints/{id}` lists it. */
export interface RegisteredResource {
  path: string;
  rt?: string;
  if?: string;
  ct?: string;
  obs?: boolean;
}

export interface DeviceTables {
  devices: DeviceTable;
}

type Json<T> = ColumnType<T, string | undefined, string>;
type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>;

interface DeviceTable {
  id: ColumnType<string, string, never>;
  account_id: ColumnType<string, string, never>;
  name: Nullable<string>;
  description: Nullable<string>;
  endpoint_name: Nullable<string>;
  endpoint_type: Nullable<string>;
  serial_number: Nullable<string>;
  vendor_id: Nullable<string>;
  device_class: Nullable<string>;
  device_key: Nullable<string>;
  ca_id: Nullable<string>;
  issuer_fingerprint: Nullable<string>;
  bootstrap_expiration_date: Nullable<string>;
  connector_expiration_date: Nullable<string>;
  bootstrapped_timestamp: Nullable<Date>;
  enrolment_list_timestamp: Nullable<Date>;
  device_execution_mode: Generated<number>;
  state: Generated<DeviceState>;
  auto_update: Generated<boolean>;
  mechanism: Generated<'connector' | 'direct'>;
  mechanism_url: Nullable<string>;
  host_gateway: Nullable<string>;
  deployment: Nullable<string>;
  deployed_state: Nullable<string>;
  manifest: Nullable<string>;
  manifest_timestamp: Nullable<Date>;
  firmware_checksum: Nullable<string>;
  custom_attributes: Json<Record<string, string>>;
  operator_suspended: Generated<boolean>;
  last_operator_suspended_category: Nullable<string>;
  last_operator_suspended_description: Nullable<string>;
  last_operator_suspended_updated_at: Nullable<Date>;
  system_suspended: Generated<boolean>;
  last_system_suspended_category: Nullable<string>;
  last_system_suspended_description: Nullable<string>;
  last_system_suspended_updated_at: Nullable<Date>;
  lifecycle_status: ColumnType<'enabled' | 'blocked', never, never>;
  created_at: ColumnType<Date, Date, never>;
  updated_at: Date;
  online: Generated<boolean>;
  last_seen: Nullable<Date>;
  remote_address: Nullable<string>;
  registered_at: Nullable<Date>;
  registration_expires_at: Nullable<Date>;
  lifetime: Nullable<number>;
  binding: Nullable<string>;
  lwm2m_version: Nullable<string>;
  image_keys: Nullable<'development' | 'production'>;
  resources: Json<RegisteredResource[]>;
  build_id: Nullable<string>;
  release: Nullable<string>;
}

export type DeviceRow = Selectable<DeviceTable>;

/** With the ids of the groups that it is in. */
export type DeviceWithGroups = DeviceRow & { group_ids: string[] };
