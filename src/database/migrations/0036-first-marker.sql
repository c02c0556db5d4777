-- The marker that is written at a place that is used for the first time, known here before it is there:
-- without this, a lost answer to that write, or a second process that looks meanwhile, finds a marker that
-- nobody seems to have written, and takes it for another ledger's.
alter table location add column next_marker uuid;
