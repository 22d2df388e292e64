-- What boards reported of themselves: each once, however often a device tells it.
create table incidents (
  device_id text not null references devices on delete cascade,
  -- <kind>-<8 hex>, given by the device.
  incident_id text not null,
  created_at timestamptz not null,
  primary key (device_id, incident_id)
);
