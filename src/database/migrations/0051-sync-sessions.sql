-- Which sessions may go on from what they have acknowledged. One that has no row here must start anew: its device
-- throws away what it keeps, and is sent everything. A row is made with its session, and when the device says that it
-- has thrown everything away. It is in no backup, so that after a restore every device starts anew: what it keeps may
-- never have been, in this database. Sessions that are older than this table have no row either.
create table sync_session (
  session_id uuid primary key references session (id) on delete cascade
);

create function sync_begin() returns trigger language plpgsql as $$
begin
  insert into sync_session (session_id) values (new.id);
  return null;
end $$;
create trigger sync_begin after insert on session for each row execute function sync_begin();

-- The last acknowledgement of each type of line: `type|id` or `type|id|extra`. `begun_id`: when the first one came.
create table sync_checkpoint (
  session_id uuid not null references sync_session (session_id) on delete cascade,
  type text not null,
  id uuid not null,
  extra text,
  begun_id uuid not null default sync_id(),
  primary key (session_id, type)
);

-- This database is an older state of itself, or a copy of another one: devices may have been told of a later state.
create function sync_restart() returns trigger language plpgsql as $$
begin
  delete from sync_session;
  return null;
end $$;
create trigger sync_restart after update of conflict on location_counter for each row
  when (new.conflict = 'another-ledger' and old.conflict is distinct from new.conflict)
  execute function sync_restart();
