-- What a probe of a location found different from the probe before. Open until somebody acknowledged it or a later probe
-- found nothing new; the newest 200 of each location are kept.
create table probe_change (
  id bigint generated always as identity primary key,
  location_id text not null references location,
  trait text not null,                                 -- a name of src/storage/traits.ts
  before boolean not null,
  after boolean not null,
  is_weaker boolean not null,
  found_at timestamptz not null,
  settled_at timestamptz,
  settled_by text,                                     -- 'probe', or who acknowledged it
  check ((settled_at is null) = (settled_by is null))
);
create index probe_change_location on probe_change (location_id, id);

-- Where each kind of file belongs by storage.locations, and since when. What is older and not there is on the move; what is
-- younger waits for its first copy.
create table home (
  kind text primary key,
  location_ids jsonb not null,
  since timestamptz not null default now()
);

-- A page's own probe: the key that it was given a presigned PUT for. Written before the URL is handed out, and kept until
-- the URL has run out, so that whatever is put under it is removed.
create table browser_probe (
  id uuid primary key,
  location_id text not null references location,
  key text not null,
  origin text not null,                                -- of the page
  expires_at timestamptz not null,
  finished_at timestamptz
);
create index browser_probe_location on browser_probe (location_id);

-- Keys without a replica that somebody outside may still put to: a URL that holds, or a put that began while it did and is
-- slow. What arrives there late is removed, again and again for a day after the URL's end; the sweep does it.
create table key_to_clear (
  location_id text not null references location,
  key text not null,
  writable_until timestamptz not null,
  clear_at timestamptz not null,
  primary key (location_id, key)
);
create index key_to_clear_due on key_to_clear (clear_at);

-- Whatever takes a key from its replica, no code path can forget it.
create function note_writable_key() returns trigger language plpgsql as $$
begin
  if old.writable_until > now() - interval '1 day' then
    insert into key_to_clear (location_id, key, writable_until, clear_at)
      values (old.location_id, old.key, old.writable_until, greatest(old.writable_until, now() + interval '10 minutes'));
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  new.writable_until := null;
  return new;
end $$;
create trigger note_writable_key_gone before delete on replica for each row execute function note_writable_key();
create trigger note_writable_key_changed before update of key on replica
  for each row when (new.key is distinct from old.key) execute function note_writable_key();
