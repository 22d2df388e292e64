// SPDX-License-Identifier: Apache-2.0
import { endpointNamePattern, endpointNameRule } from '@mbl/formats';
import { z } from 'zod';
import { date, type FilterFields, flag, integer, text } from '../../infra/http/filters.ts';
import type { DeviceWithGroups } from './table.ts';

export const endpointName = z.string().regex(endpointNamePattern, `Must be ${endpointNameRule}`);

export const customAttributes = z
  .record(
    z.string().regex(/^[A-Za-z].{0,127}$/, 'Starts with a letter, at most 128 characters'),
    z.string().max(128),
  )
  .refine((map) => Object.keys(map).length <= 5, 'At most 5 attributes');

const day = z.iso.date().nullable();

/** What may be written at any time. */
const writable = {
  name: z.string().max(128),
  description: z.string().max(2000),
  endpoint_type: z.string().max(64),
  host_gateway: z.string().max(64),
  ca_id: z.string().max(500),
  auto_update: z.boolean(),
  custom_attributes: customAttributes,
};

/** Body of POST /v3/devices. */
export const newDevice = z
  .strictObject({
    ...writable,
    endpoint_name: endpointName,
    serial_number: z.string().max(64),
    vendor_id: z.string().max(255),
    device_class: z.string().max(32),
    device_execution_mode: z.literal([0, 1, 5]),
    bootstrap_expiration_date: day,
    connector_expiration_date: day,
    deployment: z.string().max(64),
    manifest: z.string().max(500),
    mechanism: z.enum(['connector', 'direct']),
    mechanism_url: z.string().max(500),
  })
  .partial()
  .meta({ id: 'NewDevice' });

export type NewDevice = z.infer<typeof newDevice>;

/** Body of PUT /v3/devices/{id}. What the device and its certificate decide may be sent back as it was read. */
export const deviceChanges = z
  .strictObject({ ...writable, endpoint_name: z.string(), device_key: z.string() })
  .partial()
  .meta({ id: 'DeviceChanges' });

export type DeviceChanges = z.infer<typeof deviceChanges>;

const time = z.string().nullable();

export const device = z
  .object({
    object: z.literal('device'),
    id: z.string(),
    account_id: z.string(),
    name: z.string(),
    description: z.string(),
    endpoint_name: z.string(),
    endpoint_type: z.string(),
    serial_number: z.string(),
    vendor_id: z.string(),
    device_class: z.string(),
    device_key: z.string().describe('SHA-256 fingerprint of the certificate on record'),
    ca_id: z.string(),
    issuer_fingerprint: z.string().nullable(),
    bootstrap_expiration_date: time,
    connector_expiration_date: time,
    bootstrapped_timestamp: time,
    enrolment_list_timestamp: time,
    device_execution_mode: z.number().int(),
    state: z.enum(['unenrolled', 'cloud_enrolling', 'bootstrapped', 'registered', 'deregistered']),
    lifecycle_status: z.enum(['enabled', 'blocked']),
    auto_update: z.boolean(),
    mechanism: z.enum(['connector', 'direct']),
    mechanism_url: z.string(),
    host_gateway: z.string(),
    deployment: z.string(),
    deployed_state: z.string().nullable(),
    manifest: z.string(),
    manifest_timestamp: time,
    firmware_checksum: z.string().nullable(),
    custom_attributes: z.record(z.string(), z.string()),
    groups: z.array(z.string()).describe('Ids of the device groups that it is in'),
    operator_suspended: z.boolean(),
    last_operator_suspended_category: z.string().nullable(),
    last_operator_suspended_description: z.string().nullable(),
    last_operator_suspended_updated_at: time,
    system_suspended: z.boolean(),
    last_system_suspended_category: z.string().nullable(),
    last_system_suspended_description: z.string().nullable(),
    last_system_suspended_updated_at: time,
    created_at: z.string(),
    updated_at: z.string(),
    etag: z.string(),
    online: z.boolean().describe('Connected at this moment'),
    last_seen: time.describe('When the service last heard from it'),
    remote_address: z.string().nullable(),
    registered_at: time,
    registration_expires_at: time,
    lifetime: z.number().int().nullable().describe('Of the registration, in seconds; 0 has no end'),
    lwm2m_version: z.string().nullable(),
    image_keys: z
      .enum(['development', 'production'])
      .nullable()
      .describe('What the keys are for that signed its image, as the image says of itself'),
    build_id: z
      .string()
      .nullable()
      .describe('Identity of the build that it runs, as it said when it registered'),
    release: z
      .string()
      .nullable()
      .describe('The release that it runs, where one is known to have this build'),
  })
  .meta({ id: 'Device' });

export type Device = z.infer<typeof device>;

/** Pelion's filters and operators, and ours for presence. */
export const deviceFilters: FilterFields = {
  ...Object.fromEntries(
    [
      'account_id',
      'build_id',
      'ca_id',
      'deployed_state',
      'deployment',
      'description',
      'device_class',
      'device_key',
      'endpoint_name',
      'endpoint_type',
      'firmware_checksum',
      'host_gateway',
      'id',
      'image_keys',
      'last_operator_suspended_category',
      'last_system_suspended_category',
      'lifecycle_status',
      'manifest',
      'mechanism',
      'mechanism_url',
      'name',
      'release',
      'serial_number',
      'state',
      'vendor_id',
    ].map((name) => [name, text]),
  ),
  ...Object.fromEntries(
    [
      'bootstrap_expiration_date',
      'bootstrapped_timestamp',
      'connector_expiration_date',
      'created_at',
      'enrolment_list_timestamp',
      'last_operator_suspended_updated_at',
      'last_seen',
      'last_system_suspended_updated_at',
      'manifest_timestamp',
      'updated_at',
    ].map((name) => [name, date]),
  ),
  auto_update: flag,
  online: flag,
  operator_suspended: flag,
  system_suspended: flag,
  device_execution_mode: integer,
  custom_attributes: { type: 'map', operators: ['eq'] },
};

/** A row as the API shows it; `liveSeen` is newer than the row when the device is connected. */
export function toDevice(row: DeviceWithGroups, liveSeen?: number): Device {
  return {
    object: 'device',
    id: row.id,
    account_id: row.account_id,
    name: row.name ?? '',
    description: row.description ?? '',
    endpoint_name: row.endpoint_name ?? '',
    endpoint_type: row.endpoint_type ?? '',
    serial_number: row.serial_number ?? '',
    vendor_id: row.vendor_id ?? '',
    device_class: row.device_class ?? '',
    device_key: row.device_key ?? '',
    ca_id: row.ca_id ?? '',
    issuer_fingerprint: row.issuer_fingerprint,
    bootstrap_expiration_date: row.bootstrap_expiration_date,
    connector_expiration_date: row.connector_expiration_date,
    bootstrapped_timestamp: iso(row.bootstrapped_timestamp),
    enrolment_list_timestamp: iso(row.enrolment_list_timestamp),
    device_execution_mode: row.device_execution_mode,
    state: row.state,
    lifecycle_status: row.lifecycle_status,
    auto_update: row.auto_update,
    mechanism: row.mechanism,
    mechanism_url: row.mechanism_url ?? '',
    host_gateway: row.host_gateway ?? '',
    deployment: row.deployment ?? '',
    deployed_state: row.deployed_state,
    manifest: row.manifest ?? '',
    manifest_timestamp: iso(row.manifest_timestamp),
    firmware_checksum: row.firmware_checksum,
    custom_attributes: row.custom_attributes,
    groups: row.group_ids,
    operator_suspended: row.operator_suspended,
    last_operator_suspended_category: row.last_operator_suspended_category,
    last_operator_suspended_description: row.last_operator_suspended_description,
    last_operator_suspended_updated_at: iso(row.last_operator_suspended_updated_at),
    system_suspended: row.system_suspended,
    last_system_suspended_category: row.last_system_suspended_category,
    last_system_suspended_description: row.last_system_suspended_description,
    last_system_suspended_updated_at: iso(row.last_system_suspended_updated_at),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    etag: row.updated_at.toISOString(),
    online: row.online,
    last_seen: iso(liveSeen === undefined ? row.last_seen : new Date(liveSeen)),
    remote_address: row.remote_address,
    registered_at: iso(row.registered_at),
    registration_expires_at: iso(row.registration_expires_at),
    lifetime: row.lifetime,
    lwm2m_version: row.lwm2m_version,
    image_keys: row.image_keys,
    build_id: row.build_id,
    release: row.release,
  };
}

function iso(value: Date | null): string | null {
  return value?.toISOString() ?? null;
}
