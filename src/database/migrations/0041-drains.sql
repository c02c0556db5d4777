-- A location that is being emptied, by an administrator's decision: nothing new goes there, whatever the configuration says.
-- When nothing is left, it may be retired: then nothing ever comes there again, and its row goes when no configuration names it.

alter table location
  add column drain_begun_at timestamptz,
  -- What it held then.
  add column drain_files bigint,
  add column drain_bytes bigint,
  add column retired_at timestamptz,
  add constraint location_drain check (
    (drain_begun_at is null) = (drain_files is null) and (drain_begun_at is null) = (drain_bytes is null)),
  add constraint location_retired check (retired_at is null or drain_begun_at is not null);

-- What was noted of a location goes with it. Replicas, keys to clear and unfinished work keep it, as before.
alter table probe_change drop constraint probe_change_location_id_fkey,
  add foreign key (location_id) references location on delete cascade;
alter table browser_probe drop constraint browser_probe_location_id_fkey,
  add foreign key (location_id) references location on delete cascade;
alter table location_listing drop constraint location_listing_location_id_fkey,
  add foreign key (location_id) references location on delete cascade;
alter table location_scrub drop constraint location_scrub_location_id_fkey,
  add foreign key (location_id) references location on delete cascade;
alter table outage drop constraint outage_location_id_fkey,
  add foreign key (location_id) references location on delete cascade;
alter table drill drop constraint drill_location_id_fkey,
  add foreign key (location_id) references location on delete cascade;

-- A process that does not know of the retirement yet must not begin a copy there. The lock is the one that the foreign key
-- takes anyway; it waits for a retirement that is about to be committed, and then sees it.
create function guard_retired() returns trigger language plpgsql as $$
begin
  perform from location where id = new.location_id and retired_at is null for key share;
  if not found then
    raise exception 'nothing is written at location %: it is retired', new.location_id using errcode = 'GL001';
  end if;
  return new;
end $$;
create trigger guard_retired before insert on replica for each row execute function guard_retired();
