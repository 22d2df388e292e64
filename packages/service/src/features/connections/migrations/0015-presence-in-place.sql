-- A column that an index names keeps PostgreSQL from changing a row in place (heap-only tuples): each device that came or went had its row
-- written into all indexes anew. Lists are read in the order of ids, with this one or without it.
drop index devices_online;
