-- Phones keep a copy of stacks, partners, memories and the metadata of assets, too. What phones have acknowledged of other
-- kinds stays as it is.

-- `create_id`: of this sharing; who stops and shares again has another one.
alter table partner
  add column create_id uuid not null default sync_id(),
  add column update_id uuid not null default sync_id();
alter table stack add column update_id uuid not null default sync_id();
drop index stack_owner;
create index stack_update on stack (owner_id, update_id);
alter table memory add column update_id uuid not null default sync_id();
alter table memory_asset add column update_id uuid not null default sync_id();
-- `owner_id`: its asset's, which never changes.
alter table asset_metadata
  add column owner_id uuid,
  add column update_id uuid not null default sync_id();
update asset_metadata set owner_id = asset.owner_id from asset where asset.id = asset_id;
create index asset_metadata_update on asset_metadata (owner_id, update_id);

create or replace trigger sync_asset before update on asset for each row
  when ((old.original_file_name, old.checksum, old.thumbhash, old.file_created_at, old.file_modified_at, old.created_at,
      old.local_date_time, old.duration_ms, old.type, old.deleted_at, old.is_favorite, old.visibility,
      old.live_photo_video_id, old.stack_id, old.width, old.height)
    is distinct from (new.original_file_name, new.checksum, new.thumbhash, new.file_created_at, new.file_modified_at,
      new.created_at, new.local_date_time, new.duration_ms, new.type, new.deleted_at, new.is_favorite, new.visibility,
      new.live_photo_video_id, new.stack_id, new.width, new.height))
  execute function sync_stamp();
-- Phones were sent these as if they were in no stack, and preferences without what differs from Immich's defaults.
update asset set update_id = sync_id() where stack_id is not null;
update app_user set preferences_update_id = sync_id();

-- Who says the same again is sent it again, as by Immich: `updated_at` tells.
create trigger sync_partner before update on partner for each row
  when ((old.in_timeline, old.updated_at) is distinct from (new.in_timeline, new.updated_at))
  execute function sync_stamp();
create trigger sync_stack before update on stack for each row
  when ((old.primary_asset_id, old.created_at, old.updated_at)
    is distinct from (new.primary_asset_id, new.created_at, new.updated_at))
  execute function sync_stamp();
create trigger sync_memory before update on memory for each row
  when ((old.type, old.data, old.is_saved, old.memory_at, old.show_at, old.hide_at, old.seen_at, old.created_at,
      old.updated_at, old.deleted_at)
    is distinct from (new.type, new.data, new.is_saved, new.memory_at, new.show_at, new.hide_at, new.seen_at, new.created_at,
      new.updated_at, new.deleted_at))
  execute function sync_stamp();
create trigger sync_asset_metadata before update on asset_metadata for each row
  when ((old.value, old.updated_at) is distinct from (new.value, new.updated_at))
  execute function sync_stamp();
create trigger sync_asset_metadata_owner before insert on asset_metadata
  for each row execute function sync_exif_owner();

-- Partners are not told what the file of a locked asset says; when it is locked no more, that comes as new.
create function sync_unlocked() returns trigger language plpgsql as $$
begin
  update asset_exif set update_id = sync_id() where asset_id = new.id;
  return null;
end $$;
create trigger sync_unlocked after update of visibility on asset for each row
  when (old.visibility = 'locked' and new.visibility <> 'locked')
  execute function sync_unlocked();

-- Further kinds of `sync_removal`. What goes with its user, asset or memory is not noted: phones take it along.
--   kind            scope_id     subject_id
--   partner         one of both  the other; `key` says which of them `scope_id` is: `shared-by` or `shared-with`
--   stack           its owner    the stack
--   memory          its owner    the memory
--   memory_asset    the memory   the asset
--   asset_metadata  the owner    the asset; `key` says which
create or replace function sync_note_removal() returns trigger language plpgsql as $$
begin
  case tg_table_name
    when 'app_user' then
      insert into sync_removal (kind, subject_id) select 'user', id from gone;
    when 'asset' then
      insert into sync_removal (kind, scope_id, subject_id, checksum) select 'asset', owner_id, id, checksum from gone;
    when 'album_user' then
      insert into sync_removal (kind, scope_id, subject_id) select 'album', user_id, album_id from gone;
      -- Nobody is left to hear of the members of an album that is gone, nor of what was in it.
      insert into sync_removal (kind, scope_id, subject_id)
        select 'album_user', album_id, user_id from gone where exists (select from album where id = album_id);
    when 'album_asset' then
      insert into sync_removal (kind, scope_id, subject_id, is_gone)
        select 'album_asset', album_id, asset_id, not exists (select from asset where id = asset_id)
        from gone where exists (select from album where id = album_id);
    when 'partner' then
      insert into sync_removal (kind, scope_id, subject_id, key)
        select 'partner', side.scope_id, side.subject_id, side.key from gone,
          lateral (values (shared_by_id, shared_with_id, 'shared-by'), (shared_with_id, shared_by_id, 'shared-with'))
            as side (scope_id, subject_id, key)
        where exists (select from app_user where id = shared_by_id)
          and exists (select from app_user where id = shared_with_id);
    when 'stack' then
      insert into sync_removal (kind, scope_id, subject_id)
        select 'stack', owner_id, id from gone where exists (select from app_user where id = gone.owner_id);
    when 'memory' then
      insert into sync_removal (kind, scope_id, subject_id)
        select 'memory', owner_id, id from gone where exists (select from app_user where id = gone.owner_id);
    when 'memory_asset' then
      insert into sync_removal (kind, scope_id, subject_id)
        select 'memory_asset', memory_id, asset_id from gone where exists (select from memory where id = memory_id);
    when 'asset_metadata' then
      insert into sync_removal (kind, scope_id, subject_id, key)
        select 'asset_metadata', owner_id, asset_id, key from gone where exists (select from asset where id = asset_id);
  end case;
  return null;
end $$;
create trigger sync_partner_gone after delete on partner
  referencing old table as gone for each statement execute function sync_note_removal();
create trigger sync_stack_gone after delete on stack
  referencing old table as gone for each statement execute function sync_note_removal();
create trigger sync_memory_gone after delete on memory
  referencing old table as gone for each statement execute function sync_note_removal();
create trigger sync_memory_asset_gone after delete on memory_asset
  referencing old table as gone for each statement execute function sync_note_removal();
create trigger sync_asset_metadata_gone after delete on asset_metadata
  referencing old table as gone for each statement execute function sync_note_removal();
