-- The transaction that wrote the event: what is read is in the order of commits, so that nothing comes up behind a reader.
alter table device_events add column written_by xid8 not null default pg_current_xact_id();
create index device_events_order on device_events (account_id, written_by, id);
