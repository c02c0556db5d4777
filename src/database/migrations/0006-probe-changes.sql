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
