create table devices (
  id text primary key,
  account_id text not null references accounts,
  name text,
  description text,
  endpoint_name text,
  endpoint_type text,
  serial_number text,
  vendor_id text,
  device_class text,
  device_key text,
  ca_id text,
  issuer_fingerprint text,
  bootstrap_expiration_date date,
  connector_expiration_date date,
  bootstrapped_timestamp timestamptz,
  enrolment_list_timestamp timestamptz,
  device_execution_mode integer not null default 0,
  state text not null default 'unenrolled'
    check (state in ('unenrolled', 'cloud_enrolling', 'bootstrapped', 'registered', 'deregistered')),
  auto_update boolean not null default false,
  mechanism text not null default 'connector' check (mechanism in ('connector', 'direct')),
  mechanism_url text,
  host_gateway text,
  deployment text,
  deployed_state text,
  manifest text,
  manifest_timestamp timestamptz,
  firmware_checksum text,
  custom_attributes jsonb not null default '{}',
  operator_suspended boolean not null default false,
  last_operator_suspended_category text,
  last_operator_suspended_description text,
  last_operator_suspended_updated_at timestamptz,
  system_suspended boolean not null default false,
  last_system_suspended_category text,
  last_system_suspended_description text,
  last_system_suspended_updated_at timestamptz,
  lifecycle_status text not null generated always as
    (case when operator_suspended or system_suspended then 'blocked' else 'enabled' end) stored,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- Presence: what the edge knows, apart from what the owner wrote (updated_at does not move with it).
  online boolean not null default false,
  last_seen timestamptz,
  remote_address text,
  -- The registration (LwM2M Core 1.1 §6.2.1), kept so that the directory answers while the device is away.
  registered_at timestamptz,
  registration_expires_at timestamptz,
  lifetime integer,
  binding text,
  lwm2m_version text,
  resources jsonb not null default '[]'
);

-- An endpoint name is one device's, within an account: the wall against a second device of the same name.
create unique index devices_endpoint_name on devices (account_id, endpoint_name);
create index devices_state on devices (account_id, state);
create index devices_online on devices (account_id) where online;
create index devices_expiry on devices (registration_expires_at) where state = 'registered';
