-- What is listed at a location, in the order of keys, is laid beside what the ledger expects there.

-- By bytes, as locations list their keys, whatever the collation of the database. It stands for the constraint as well.
create unique index replica_location_key on replica (location_id, key collate "C");
alter table replica drop constraint replica_location_id_key_key;

-- One listing of a location, the last ones of each. It goes on behind `after_key` when it was cut.
create table location_listing (
  id bigint generated always as identity primary key,
  location_id text not null references location,
  begun_at timestamptz not null default now(),
  finished_at timestamptz,                             -- null: under way, or to be gone on with
  after_key text not null default '',
  holder uuid,                                         -- the process that is at it
  lease_expires_at timestamptz,                        -- after it the holder is taken for dead
  listed_count bigint not null default 0,
  listed_bytes bigint not null default 0,
  unknown_count bigint not null default 0,             -- listed, and the ledger knows nothing of it
  unknown_bytes bigint not null default 0,
  missing_count bigint not null default 0,             -- replicas that became suspect: nothing is there
  different_count bigint not null default 0,           -- the same: something else is there
  error text                                           -- why it can't go on now
);
create unique index location_listing_underway on location_listing (location_id) where finished_at is null;
create index location_listing_finished on location_listing (location_id, finished_at desc) where finished_at is not null;
