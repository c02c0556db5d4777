-- Until when locations refuse to remove what lies under a key (Object Lock), as they last said it.

create table object_lock (
  location_id text not null,
  key text not null,
  -- Null: nothing is set, as far as it is known.
  retained_until timestamptz,
  is_on_hold boolean not null default false,
  version_id text,
  -- Not asked again before then: prolonging it failed.
  retry_at timestamptz,
  primary key (location_id, key)
);

create index object_lock_ends on object_lock (location_id, retained_until);
