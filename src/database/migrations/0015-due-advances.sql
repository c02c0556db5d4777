-- A ledger promises more than its snapshot of before, and no place shows it yet: the counter is advanced at the next occasion. Set in
-- the transaction that promises, and ended by the drawing of a token after it.
alter table location_counter add column is_advance_due boolean not null default false;
