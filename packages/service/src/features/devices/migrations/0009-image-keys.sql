-- What the device says of its image when it registers: signed with keys for development, or a product's. Null when it does not say.
alter table devices add column image_keys text check (image_keys in ('development', 'production'));
