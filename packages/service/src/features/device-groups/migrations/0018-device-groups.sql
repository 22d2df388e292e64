create table device_groups (
  id text primary key,
  account_id text not null references accounts,
  name text not null,
  description text not null default '',
  custom_attributes jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index device_groups_name on device_groups (account_id, name);

create table device_group_members (
  group_id text not null references device_groups on delete cascade,
  device_id text not null references devices on delete cascade,
  primary key (group_id, device_id)
);
create index device_group_members_device on device_group_members (device_id);

-- What lists of groups read: Pelion filters by the number of devices.
create view counted_device_groups as
  select device_groups.*,
    (select count(*)::integer from device_group_members where group_id = device_groups.id) as devices_count
  from device_groups;
