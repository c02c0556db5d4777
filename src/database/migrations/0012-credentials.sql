-- A session that another one made, for a device that can't log in, ends with it. A session that is not used for `idle_days`
-- has ended; each row holds its own limit, so that every statement that looks a session up can tell.
alter table session
  add column parent_id uuid references session on delete cascade,
  add column idle_days int not null default 90 check (idle_days >= 1);
create index session_of_parent on session (parent_id) where parent_id is not null;

-- Websockets are closed, in every process, when their credential ends or may do less. A trigger says so, and not the code that
-- ends a credential: it sees cascades and what people do by hand, and no code path can forget it.
create function announce_credential() returns trigger language plpgsql as $$
begin
  perform pg_notify('glassine_event', (case tg_table_name
    when 'session' then jsonb_build_object('type', 'session-deleted', 'sessionId', old.id)
    when 'api_key' then jsonb_build_object('type', 'api-key-changed', 'apiKeyId', old.id)
    else jsonb_build_object('type', 'user-changed', 'userId', old.id, 'isDeleted',
                            tg_op = 'DELETE' or to_jsonb(new) ->> 'deleted_at' is not null)
  end)::text);
  return null;
end $$;
create trigger announce_session after delete on session for each row execute function announce_credential();
create trigger announce_api_key after delete on api_key for each row execute function announce_credential();
create trigger announce_api_key_change after update of permissions, key_hash, user_id on api_key
  for each row execute function announce_credential();
create trigger announce_user after delete on app_user for each row execute function announce_credential();
create trigger announce_user_change after update of deleted_at, is_admin on app_user
  for each row when ((new.deleted_at, new.is_admin) is distinct from (old.deleted_at, old.is_admin))
  execute function announce_credential();
