create table device_events (
  id text primary key,
  account_id text not null references accounts,
  -- No foreign key: what happened to a device outlives the device.
  device_id text,
  endpoint_name text,
  date_time timestamptz not null,
  event_type text not null,
  event_type_category text not null,
  event_type_description text not null,
  description text not null,
  state_change boolean not null default false,
  changes jsonb not null default '{}',
  data jsonb not null default '{}'
);

create index device_events_device on device_events (device_id, id);
create index device_events_type on device_events (event_type, id);
