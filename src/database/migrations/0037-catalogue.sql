-- The catalogue beside the originals: what a location holds, for people and for who has lost the database.

alter table stored_object drop constraint stored_object_kind_check;
alter table stored_object add constraint stored_object_kind_check
  check (kind in ('original', 'sidecar', 'thumbnail', 'preview', 'fullsize', 'encoded-video',
                  'profile-image', 'person-face', 'database-backup', 'catalogue'));

-- What changed and is in no batch yet. Rows are only added, so that no two transactions wait for each other
-- here. `month`: of an asset that is no longer there, the text that still names it.
create table catalogue_change (
  id bigint generated always as identity primary key,
  subject text not null check (subject in ('user', 'asset', 'album')),
  subject_id uuid not null,
  owner_id uuid,
  month date,
  at timestamptz not null default now()
);

-- Batches that this ledger has written. Each names by their SHA-256 those that it knew when it was made.
create table catalogue_batch (
  object_id uuid primary key references stored_object (id) on delete cascade,
  number bigint not null generated always as identity unique,
  is_snapshot boolean not null,
  entries bigint not null check (entries >= 0),
  made_at timestamptz not null default now()
);

-- The text of a user's month. `former_object_id`: the one before, until this one is where it belongs.
create table catalogue_text (
  owner_id uuid not null,
  month date not null check (extract(day from month) = 1),
  object_id uuid references stored_object (id) on delete set null,
  former_object_id uuid references stored_object (id) on delete set null,
  dirty_since timestamptz,
  written_at timestamptz,
  primary key (owner_id, month)
);
create index catalogue_text_dirty on catalogue_text (dirty_since) where dirty_since is not null;

-- One row. `heads`: the SHA-256 of the batches that the next one follows.
create table catalogue_state (
  is_only boolean primary key default true check (is_only),
  heads text[] not null default '{}',
  is_snapshot_due boolean not null default true,
  -- How the last taking over of what catalogues say went, or goes; and the last restore drill.
  adoption jsonb,
  drill jsonb,
  -- Whose reading lies in catalogue_found: another one that began since has emptied it.
  reading uuid
);
insert into catalogue_state default values;

-- What a reading of the catalogues has found, one row for each thing, while it is laid beside the database.
create table catalogue_found (
  kind text not null check (kind in ('user', 'asset', 'album')),
  id uuid not null,
  batch text not null,
  -- This database knew the batch when it was read: what it lacks of it, it has given up itself.
  is_known boolean not null,
  is_gone boolean not null,
  entry jsonb not null,
  primary key (kind, id)
);

create function note_catalogue_change() returns trigger language plpgsql as $$
declare
  subject_name text := tg_argv[0];
  id_column text := tg_argv[1];
  before jsonb;
begin
  if tg_op <> 'INSERT' then
    before := to_jsonb(old);
  end if;
  if subject_name = 'asset' and id_column = 'id' and tg_op <> 'INSERT' then
    insert into catalogue_change (subject, subject_id, owner_id, month)
      values ('asset', old.id, old.owner_id, date_trunc('month', old.local_date_time)::date);
    return null;
  end if;
  insert into catalogue_change (subject, subject_id)
    values (subject_name, (coalesce(before, to_jsonb(new)) ->> id_column)::uuid);
  return null;
end $$;

-- Where the original or sidecar of an asset lies: only what counts is told.
create function note_catalogue_place() returns trigger language plpgsql as $$
declare was boolean := false; is_now boolean := false; found_asset uuid;
begin
  if tg_op <> 'INSERT' then was := old.state = 'verified'; end if;
  if tg_op <> 'DELETE' then is_now := new.state = 'verified'; end if;
  if was = is_now and not (is_now and new.key is distinct from old.key) then
    return null;
  end if;
  select asset_id into found_asset from stored_object
    where id = coalesce(new.object_id, old.object_id) and kind in ('original', 'sidecar');
  if found_asset is not null then
    insert into catalogue_change (subject, subject_id) values ('asset', found_asset);
  end if;
  return null;
end $$;

create trigger catalogue_user after insert or delete on app_user
  for each row execute function note_catalogue_change('user', 'id');
create trigger catalogue_user_change after update of email, name, is_admin, deleted_at on app_user
  for each row when ((old.email, old.name, old.is_admin, old.deleted_at is null)
    is distinct from (new.email, new.name, new.is_admin, new.deleted_at is null))
  execute function note_catalogue_change('user', 'id');
create trigger catalogue_asset after insert or delete on asset
  for each row execute function note_catalogue_change('asset', 'id');
-- Another time in the trash is no change: a restored database sets it for all that lies there.
create trigger catalogue_asset_change after update on asset
  for each row when ((old.type, old.checksum, old.original_object_id, old.original_file_name, old.file_created_at,
      old.file_modified_at, old.local_date_time, old.time_zone, old.deleted_at is null, old.is_favorite, old.visibility,
      old.live_photo_video_id)
    is distinct from (new.type, new.checksum, new.original_object_id, new.original_file_name, new.file_created_at,
      new.file_modified_at, new.local_date_time, new.time_zone, new.deleted_at is null, new.is_favorite, new.visibility,
      new.live_photo_video_id))
  execute function note_catalogue_change('asset', 'id');
create trigger catalogue_sidecar after insert or update of object_id on asset_file
  for each row when (new.kind = 'sidecar') execute function note_catalogue_change('asset', 'asset_id');
create trigger catalogue_sidecar_gone after delete on asset_file
  for each row when (old.kind = 'sidecar') execute function note_catalogue_change('asset', 'asset_id');
create trigger catalogue_said after insert or update on asset_exif
  for each row when (cardinality(new.user_set) > 0) execute function note_catalogue_change('asset', 'asset_id');
create trigger catalogue_album after insert or delete on album
  for each row execute function note_catalogue_change('album', 'id');
create trigger catalogue_album_change after update of name, description, asset_order, thumbnail_asset_id on album
  for each row when ((old.name, old.description, old.asset_order, old.thumbnail_asset_id)
    is distinct from (new.name, new.description, new.asset_order, new.thumbnail_asset_id))
  execute function note_catalogue_change('album', 'id');
create trigger catalogue_member after insert or update or delete on album_user
  for each row execute function note_catalogue_change('album', 'album_id');
create trigger catalogue_album_asset after insert or delete on album_asset
  for each row execute function note_catalogue_change('asset', 'asset_id');
create trigger catalogue_place after insert or update of state, key or delete on replica
  for each row execute function note_catalogue_place();

-- An installation that was there before: the first batch names all that it has.
insert into catalogue_change (subject, subject_id) select 'user', id from app_user;
