-- The place of an event in the order of commits. Whoever inserts waits for the transaction that inserted before to end, so a position is
-- visible only after all lower ones are, or are given up. A dump carries the sequence along.
alter table device_events add column position bigint;
update device_events set position = place.n
  from (select id, row_number() over (order by written_by, id) as n from device_events) as place
  where device_events.id = place.id;
create sequence device_event_positions owned by device_events.position;
select setval('device_event_positions', (select coalesce(max(position), 0) + 1 from device_events), false);
alter table device_events alter column position set default nextval('device_event_positions');
alter table device_events alter column position set not null;
create unique index device_events_position on device_events (account_id, position);
drop index device_events_order;
alter table device_events drop column written_by;

create function await_event_turn() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(1835166770);
  return null;
end $$;
-- Before the statement: its rows get their positions after that.
create trigger event_turn before insert on device_events for each statement execute function await_event_turn();
