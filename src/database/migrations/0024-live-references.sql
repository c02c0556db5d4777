-- Whatever refers to an object keeps it, so it must be live: one that is being purged goes, and its bytes are not
-- looked at for whoever refers to it since. With the row lock that a purge needs, so that neither misses the other.
create function guard_reference() returns trigger language plpgsql as $$
declare object_id uuid := to_jsonb(new) ->> tg_argv[0];
begin
  if object_id is null then
    return new;
  end if;
  perform from stored_object where id = object_id and state = 'live' for share;
  if not found then
    raise exception 'object % is being purged: nothing can refer to it', object_id using errcode = 'GL004';
  end if;
  return new;
end $$;
create trigger guard_original before insert or update of original_object_id on asset
  for each row execute function guard_reference('original_object_id');
create trigger guard_file before insert or update of object_id on asset_file
  for each row execute function guard_reference('object_id');
create trigger guard_profile_image before insert or update of profile_image_object_id on app_user
  for each row execute function guard_reference('profile_image_object_id');
