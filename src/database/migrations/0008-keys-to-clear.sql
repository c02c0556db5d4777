-- Keys without a replica that somebody outside may still put to: a URL that holds, or a put that began while it did and is
-- slow. What arrives there late is removed, again and again for a day after the URL's end; the sweep does it.
create table key_to_clear (
  location_id text not null references location,
  key text not null,
  writable_until timestamptz not null,
  clear_at timestamptz not null,
  primary key (location_id, key)
);
create index key_to_clear_due on key_to_clear (clear_at);

-- Whatever takes a key from its replica, no code path can forget it.
create function note_writable_key() returns trigger language plpgsql as $$
begin
  if old.writable_until > now() - interval '1 day' then
    insert into key_to_clear (location_id, key, writable_until, clear_at)
      values (old.location_id, old.key, old.writable_until, greatest(old.writable_until, now() + interval '10 minutes'));
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  new.writable_until := null;
  return new;
end $$;
create trigger note_writable_key_gone before delete on replica for each row execute function note_writable_key();
create trigger note_writable_key_changed before update of key on replica
  for each row when (new.key is distinct from old.key) execute function note_writable_key();
