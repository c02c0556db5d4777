-- Keys to clear: one that fails is tried again more and more rarely, and keeps no other one waiting.
alter table key_to_clear
  add column failures int not null default 0,
  add column retry_at timestamptz,                     -- not before; null: its last look did not fail
  -- Of bytes whose object went as a duplicate: by these the photo is found that they may have to stand for, after all.
  add column duplicate_owner_id uuid,
  add column duplicate_kind text,
  add column duplicate_size bigint,
  add column duplicate_sha256 bytea;
