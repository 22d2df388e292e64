-- What comes again after the device forgot it has happened again.
alter table incidents add column forgotten_at timestamptz;
