-- Until then the code is accepted once more, for another key; null where nobody asked for that, or it was done.
alter table enrolment_codes add column rearmed_until timestamptz;
