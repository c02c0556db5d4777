-- What a location holds is read again and compared with the SHA-256, object by object, within a budget.

-- One pass through the objects of a location; the last ones of each are kept. It goes on behind `after_object_id` when it was cut.
create table location_scrub (
  id bigint generated always as identity primary key,
  location_id text not null references location,
  begun_at timestamptz not null default now(),
  finished_at timestamptz,                             -- null: under way, or to be gone on with
  after_object_id uuid not null default '00000000-0000-0000-0000-000000000000',
  holder uuid,                                         -- the process that is at it
  lease_expires_at timestamptz,                        -- after it the holder is taken for dead
  read_count bigint not null default 0,                -- read as a whole, and right
  read_bytes bigint not null default 0,
  wrong_count bigint not null default 0,               -- replicas that became suspect
  unread_count bigint not null default 0,              -- could not be read, or are larger than a month's budget
  error text                                           -- why it can't go on now
);
create unique index location_scrub_underway on location_scrub (location_id) where finished_at is null;
create index location_scrub_finished on location_scrub (location_id, finished_at desc) where finished_at is not null;

-- What may be read at a location now: it grows with time, and is taken before the bytes are read.
create table scrub_budget (
  location_id text primary key references location on delete cascade,
  allowed_bytes double precision not null default 0,
  at timestamptz not null default now()
);
