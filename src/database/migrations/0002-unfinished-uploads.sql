-- Multipart uploads that are no objects yet: parts that are paid for and in no listing of objects. The row is there before the
-- upload is begun and goes when it is an object or was given up; the sweep gives up what its writer no longer renews.
create table unfinished_upload (
  location_id text not null references location,
  key text not null,
  upload_id text,                                      -- the location's name for it; null: about to begin
  lease_expires_at timestamptz not null,               -- after it the writer is taken for dead
  created_at timestamptz not null default now(),
  primary key (location_id, key)
);
create index unfinished_upload_lease on unfinished_upload (lease_expires_at);
