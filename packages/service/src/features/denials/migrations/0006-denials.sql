create table denials (
  id text primary key,
  account_id text not null references accounts,
  endpoint_name text not null,
  device_id text,
  door text not null check (door in ('est', 'lwm2m')),
  reason text not null,
  description text not null,
  fingerprint text not null,
  remote_address text not null,
  created_at timestamptz not null,
  last_at timestamptz not null,
  -- The same refusal within a minute counts up instead of adding a row: a hammering stranger must not fill the disk.
  minute bigint not null,
  times integer not null default 1,
  unique (account_id, endpoint_name, door, reason, fingerprint, remote_address, minute)
);
