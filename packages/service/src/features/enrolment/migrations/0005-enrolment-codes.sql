create table enrolment_codes (
  id text primary key,
  account_id text not null references accounts,
  device_id text not null references devices on delete cascade,
  endpoint_name text not null,
  -- SHA-256 of the code: 160 random bits, shown once.
  hash text not null unique,
  created_at timestamptz not null,
  expires_at timestamptz,
  claimed_at timestamptz,
  -- The key that claimed it: only this key may repeat the request.
  key_fingerprint text,
  certificate_id text references device_certificates on delete set null
);

create index enrolment_codes_device on enrolment_codes (device_id);
