-- Files at a location that nothing in the ledger names: seen by its listings, and given up by a decision of an administrator.

alter table location_listing
  add column expected_count bigint not null default 0, -- copies that the ledger counts on there
  add column found_count bigint not null default 0,    -- of these, the ones that were listed
  add column foreign_count bigint not null default 0,  -- names that are none of ours
  add column foreign_bytes bigint not null default 0,
  add column uploads_error text,                       -- why unfinished uploads could not be listed
  -- The place listed its own marker, and was the right one, at the beginning and at the end.
  add column is_sound boolean not null default true;
-- Of those before this migration nobody has asked.
update location_listing set is_sound = false;

-- What the listing under way has seen. It becomes `stray` at its end, and only if that listing is sound.
create table stray_sighting (
  location_id text not null references location on delete cascade,
  key text not null,
  upload_id text not null default '',                  -- of an upload in parts that was not finished; '': a file
  kind text not null,                                  -- as its key says
  size bigint not null,
  etag text,
  last_modified timestamptz not null,                  -- as the location says
  seen_at timestamptz not null,
  primary key (location_id, key, upload_id)
);

-- `sightings`: in so many listings in a row it was there, with the same size, ETag and time.
create table stray (
  location_id text not null references location on delete cascade,
  key text not null,
  upload_id text not null default '',
  kind text not null,
  size bigint not null,
  etag text,
  last_modified timestamptz not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  sightings integer not null check (sightings > 0),
  primary key (location_id, key, upload_id)
);

-- Decisions of administrators to give strays up. Nothing goes before `collect_after`.
create table collection (
  id uuid primary key,
  location_id text not null references location on delete cascade,
  actor text not null,
  plan_id text not null,                               -- what was shown and confirmed
  files bigint not null check (files >= 0),
  uploads bigint not null check (uploads >= 0),
  bytes bigint not null check (bytes >= 0),
  decided_at timestamptz not null,
  collect_after timestamptz not null,
  undone_at timestamptz,
  undone_by text,
  finished_at timestamptz,                             -- nothing of it is left to do
  error text,                                          -- why it can't go on now
  check ((undone_at is null) = (undone_by is null))
);

create table collection_item (
  collection_id uuid not null references collection on delete cascade,
  location_id text not null,
  key text not null,
  upload_id text not null default '',
  kind text not null,
  size bigint not null,
  etag text,
  last_modified timestamptz not null,
  sha256 bytea,                                        -- where its bytes were read, to compare them
  state text not null default 'held' check (state in ('held', 'removing', 'removed', 'kept', 'undone')),
  reason text,                                         -- why it is kept, or waits
  not_before timestamptz,
  lease_expires_at timestamptz,                        -- of `removing`: until then a process is at it
  claimed_at timestamptz,                              -- its removal may have been asked for
  primary key (collection_id, key, upload_id)
);
create unique index collection_item_open on collection_item (location_id, key, upload_id)
  where state in ('held', 'removing');

-- Whoever makes a replica of such bytes and whoever claims them for removal lock the same row: one of them comes first, and the
-- other one finds out, at every isolation level.
create function keep_collected_key() returns trigger language plpgsql as $$
begin
  update collection_item set state = 'kept', reason = 'named'
    where location_id = new.location_id and key = new.key and upload_id = '' and state = 'held';
  if exists (select from collection_item
             where location_id = new.location_id and key = new.key and upload_id = '' and state = 'removing') then
    raise exception '% is being removed at %', new.key, new.location_id using errcode = 'GL003';
  end if;
  return new;
end $$;
create trigger keep_collected before insert or update of key on replica
  for each row execute function keep_collected_key();
