create table subscriptions (
  device_id text not null references devices on delete cascade,
  path text not null,
  created_at timestamptz not null,
  primary key (device_id, path)
);

-- One row an account: Pelion replaces the whole list at once.
create table presubscriptions (
  account_id text primary key references accounts,
  entries jsonb not null
);
