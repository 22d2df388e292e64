create table accounts (
  id text primary key,
  created_at timestamptz not null
);

create table api_keys (
  id text primary key,
  account_id text not null references accounts,
  name text not null,
  status text not null check (status in ('ACTIVE', 'INACTIVE')),
  -- SHA-256 of the whole key. A key is 256 random bits, so a slow hash would protect nothing.
  hash text not null unique,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  last_used_at timestamptz
);
