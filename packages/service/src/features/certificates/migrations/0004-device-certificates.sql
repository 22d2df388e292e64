create table device_certificates (
  id text primary key,
  device_id text not null references devices on delete cascade,
  -- SHA-256 of the certificate and of its SubjectPublicKeyInfo, lower hex.
  fingerprint text not null unique,
  key_fingerprint text not null,
  pem text not null,
  -- issued: given out and not seen yet; active: the device has used it; superseded: the device uses a newer one.
  status text not null check (status in ('issued', 'active', 'superseded', 'revoked')),
  not_after timestamptz not null,
  issued_at timestamptz not null,
  revoked_at timestamptz,
  revocation_reason text
);

create index device_certificates_device on device_certificates (device_id, id);
