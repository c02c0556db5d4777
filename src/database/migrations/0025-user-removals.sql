-- A deleted user can be restored until the removal of what they have has begun. It goes on from then, also after a kill, and can't
-- be taken back: parts of it may be gone. The row goes last, and only this way.
alter table app_user add column removal_begun_at timestamptz;
alter table app_user add check (removal_begun_at is null or deleted_at is not null);
create index app_user_removal on app_user (id) where removal_begun_at is not null;

create function guard_user() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.removal_begun_at is null then
      raise exception 'user % is not being removed', old.id using errcode = 'GL005';
    end if;
    return old;
  end if;
  if old.removal_begun_at is not null and new.removal_begun_at is null then
    raise exception 'user % is being removed for good', old.id using errcode = 'GL005';
  end if;
  return new;
end $$;
create trigger guard_user before delete or update of removal_begun_at, deleted_at on app_user
  for each row execute function guard_user();
