-- For the filters of the lists. Events are listed by their positions, those of one device and one type too.
drop index device_events_device;
create index device_events_device on device_events (device_id, position);
drop index device_events_type;
create index device_events_type on device_events (event_type, position);
create index device_events_time on device_events (account_id, date_time);
create index devices_serial_number on devices (account_id, serial_number) where serial_number is not null;
