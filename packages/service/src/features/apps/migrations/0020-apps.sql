-- The release of a team's apps that a device, or each device of a group, is to have. It stays until it is taken away.
create table app_orders (
  -- Sorts by time: of two groups with a device in common the newer order holds.
  id text primary key,
  account_id text not null references accounts,
  device_id text references devices on delete cascade,
  group_id text references device_groups on delete cascade,
  team text not null,
  release text not null,
  -- URL of the repository; null is the service's own.
  repository text,
  created_at timestamptz not null,
  check (num_nonnulls(device_id, group_id) = 1)
);
create unique index app_orders_device on app_orders (device_id, team) where device_id is not null;
create unique index app_orders_group on app_orders (group_id, team) where group_id is not null;

-- What each device is to have: its own order for a team, else the newest of its groups.
create view desired_apps as
  select distinct on (device_id, team) * from (
    select device_id, team, id, release, repository, null::text as group_id, created_at
    from app_orders where device_id is not null
    union all
    select members.device_id, orders.team, orders.id, orders.release, orders.repository, orders.group_id, orders.created_at
    from app_orders orders join device_group_members members on members.group_id = orders.group_id
  ) as all_orders
  order by device_id, team, group_id is not null, id desc;

-- What a device said last of its apps, as a whole.
create table app_reports (
  device_id text primary key references devices on delete cascade,
  reported_at timestamptz not null,
  -- Why the device does not take what it is to have; '' where it does.
  problem text not null default '',
  -- Events that it caused on a day: a device that changes its mind all the time must not fill the list.
  events_on date not null,
  events integer not null
);

-- How the release of each team stands.
create table app_release_reports (
  device_id text not null references devices on delete cascade,
  team text not null,
  release text not null,
  running text not null,
  state text not null,
  reason text not null,
  detail text not null,
  bytes_fetched bigint not null,
  bytes_to_fetch bigint not null,
  -- When it was first seen to stand so.
  since timestamptz not null,
  primary key (device_id, team)
);

-- How each app does.
create table device_apps (
  account_id text not null references accounts,
  device_id text not null references devices on delete cascade,
  name text not null,
  team text not null,
  release text not null,
  version text not null,
  state text not null,
  -- In which it is in this state by the device's clock; null where it has none.
  since timestamptz,
  restarts bigint not null,
  memory bigint not null,
  reason text not null,
  detail text not null,
  -- When this version was first seen on the device.
  found_at timestamptz not null,
  primary key (device_id, name)
);
create index device_apps_catalogue on device_apps (account_id, name, version, team, device_id) include (state, found_at);

-- Which app in which version is where. The id is made of what tells one row from the next.
create view app_catalogue as
  select md5(account_id || ' ' || name || ' ' || version || ' ' || team) as id,
    account_id || ' ' || name || ' ' || version || ' ' || team as key,
    account_id, name, version, team,
    count(*)::integer as devices_count,
    count(*) filter (where state = 'running')::integer as running_count,
    count(*) filter (where state in ('failed', 'unhealthy', 'restarting'))::integer as failing_count,
    min(found_at) as since
  from device_apps group by account_id, name, version, team;
