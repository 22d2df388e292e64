-- An order to go to a release, of one device; kept after its end.
create table release_orders (
  id text primary key,
  account_id text not null references accounts,
  device_id text not null references devices on delete cascade,
  -- An order of a group is one of each of its members; they share these.
  group_id text references device_groups on delete set null,
  group_order_id text,
  release text not null,
  -- URL of the repository; null is the service's own.
  repository text,
  state text not null,
  reason text not null,
  sentence text not null,
  bytes_fetched bigint,
  bytes_to_fetch bigint,
  created_at timestamptz not null,
  -- When the device was seen to have taken the Package URI.
  asked_at timestamptz,
  -- When it was decided to have the device start the release: before the device is told.
  started_at timestamptz,
  changed_at timestamptz not null,
  ended_at timestamptz,
  -- The device is to be told that a cancelled order is over.
  recall boolean not null default false
);
-- One at a time.
create unique index release_orders_running on release_orders (device_id) where ended_at is null;
create index release_orders_device on release_orders (device_id, id);
create index release_orders_group on release_orders (group_order_id, id) where group_order_id is not null;
create index release_orders_recall on release_orders (device_id) where recall;

-- What the device runs, as it said when it registered: the identity of the build, and the name of its release where one is known.
alter table devices add column build_id text;
alter table devices add column release text;
create index devices_release on devices (account_id, release) where release is not null;
create index devices_build on devices (account_id, build_id) where build_id is not null;
