-- Uploads that go past the server: the client puts the bytes into the bucket with presigned URLs, then confirms.

alter table replica
  add column upload_id text,                           -- of `writing` in parts; '': asked for, and the answer not yet known
  add column writable_until timestamptz;               -- until then somebody holds a URL that may put to the key

-- What an upload announced. Its object is not linked and its replica `writing` until the bytes are proven.
create table direct_upload (
  id uuid primary key,
  owner_id uuid not null references app_user,
  object_id uuid not null,                             -- no reference: the object of an upload that came to nothing is purged
  asset_id uuid not null,                              -- that it will have, or, of a duplicate, that is there already
  state text not null default 'open' check (state in ('open', 'received', 'done', 'duplicate', 'failed', 'abandoned')),
  reason text,                                         -- of failed and abandoned, for people
  size bigint not null check (size > 0),               -- reserved of the quota while open or received
  sha256 bytea not null check (octet_length(sha256) = 32),
  sha1 bytea not null check (octet_length(sha1) = 20),
  md5 bytea check (octet_length(md5) = 16),            -- of a single put, which is bound to it
  part_bytes bigint check (part_bytes > 0),            -- null: a single put
  file_name text not null,
  file_created_at timestamptz not null,
  file_modified_at timestamptz not null,
  is_favorite boolean not null,
  visibility text not null check (visibility in ('timeline', 'archive', 'hidden', 'locked')),
  duration_ms bigint,
  live_photo_video_id uuid,
  expires_at timestamptz not null,                     -- of `open`
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((md5 is null) <> (part_bytes is null)),
  check ((ended_at is null) = (state in ('open', 'received')))
);
-- The same file asked for again is the same upload: that is how a client goes on after its crash.
create unique index direct_upload_underway on direct_upload (owner_id, sha256) include (size)
  where state in ('open', 'received');
create index direct_upload_owner on direct_upload (owner_id, created_at desc);
create index direct_upload_unfinished on direct_upload (expires_at) where state in ('open', 'received');
create index direct_upload_ended on direct_upload (ended_at) where ended_at is not null;
