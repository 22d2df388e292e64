-- The named notification channels with the last of which a subscription ends; null when it stays until it is deleted.
alter table subscriptions add column channels text[];
