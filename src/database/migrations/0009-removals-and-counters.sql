-- No bytes are removed unseen, and a location has one ledger at a time.

alter table replica
  -- Why its bytes may go, of `evicting`: see RemovalReason in src/storage/removal-permit.ts. 'nothing-there': there are none.
  add column removal text check (removal in ('wrong-bytes', 'other-copy', 'decided', 'nothing-there')),
  -- Its bytes were found at the location, put there by an earlier or later state of this ledger.
  add column is_adopted boolean not null default false;

alter table stored_object
  -- Of `purging`. 'user': somebody deleted it. 'replaced': a generated file or a picture that a newer one stands for. 'refused': an
  -- upload whose sender was told that it failed. 'duplicate': the same bytes are kept as another object.
  add column purge_reason text check (purge_reason in ('user', 'replaced', 'refused', 'duplicate')),
  -- Right bytes of an upload that nobody was told is safe, as far as this ledger knows. They are kept; looked at last then.
  add column kept_since timestamptz;
update stored_object set purge_reason = 'user' where state = 'purging';
alter table stored_object add check (state <> 'purging' or purge_reason is not null);
-- For finding the same bytes under another object. A hash index takes a quarter of the room of an ordinary one.
create index stored_object_sha256 on stored_object using hash (sha256);

-- A key from which something may still have to be cleared, with what its replica was of and why that went.
alter table key_to_clear
  add column object_id uuid,
  add column removal text;
update key_to_clear set object_id = (
  select object_id from placement_event
  where placement_event.location_id = key_to_clear.location_id and placement_event.key = key_to_clear.key limit 1);

create or replace function note_writable_key() returns trigger language plpgsql as $$
begin
  if old.writable_until > now() - interval '1 day' then
    insert into key_to_clear (location_id, key, writable_until, clear_at, object_id, removal)
      values (old.location_id, old.key, old.writable_until, greatest(old.writable_until, now() + interval '10 minutes'),
              old.object_id, old.removal);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  new.writable_until := null;
  return new;
end $$;

-- The counter that a location and this ledger advance together. Who finds another token there than its own, or the one that it was
-- about to put, is an older snapshot or a copy: it writes and removes nothing there until an administrator decides.
create table location_counter (
  location_id text primary key references location on delete cascade,
  value bigint not null check (value >= 0),            -- 0: none was ever put
  token uuid,                                          -- that goes with the value; null with 0
  next_token uuid,                                     -- that goes with value + 1, which may or may not be there yet
  next_holder text,                                    -- the media volume of whoever drew it: a copy of this ledger draws its own
  version text,                                        -- under which the location holds it; null: not known
  advanced_at timestamptz not null default now(),
  holder text not null,                                -- the media volume of whoever advanced it last
  conflict text check (conflict in ('another-ledger', 'older-place')),
  conflict_since timestamptz,
  seen_value bigint,                                   -- of the conflict
  seen_token uuid,
  check ((conflict is null) = (conflict_since is null)),
  check ((value = 0) = (token is null))
);

-- Where a location of another installation is, which this one is a copy of: it reads there, and never writes or removes. Without secrets.
alter table location add column origin jsonb;

-- A listing of a location that takes what it holds into the ledger. One row for each location: the last one.
create table adoption (
  location_id text primary key references location on delete cascade,
  state text not null check (state in ('running', 'done')),
  actor text not null,
  after_key text not null default '',                  -- looked at as far as this key
  report jsonb not null,                               -- counts and bytes, see AdoptionReport in src/placement/adopt.ts
  started_at timestamptz not null default now(),
  finished_at timestamptz
);

-- As before, and: nothing goes without a reason; a write that nobody finished is a copy that may be the last one; bytes that are
-- found right come back; bytes that are adopted bring their key with them.
create or replace function guard_replica() returns trigger language plpgsql as $$
declare object_state text; required int; remaining int; is_acknowledged boolean;
begin
  if tg_op = 'INSERT' then
    if new.state <> 'writing' then
      raise exception 'a replica begins as writing, not %', new.state using errcode = 'GL001';
    end if;
    if new.is_adopted then
      -- Bytes that are there already: nothing is put under the key, so it may have been used.
      insert into used_key (location_id, key) values (new.location_id, new.key) on conflict do nothing;
    else
      insert into used_key (location_id, key) values (new.location_id, new.key);
    end if;
    insert into placement_event (object_id, location_id, key, from_state, to_state, actor)
      values (new.object_id, new.location_id, new.key, null, new.state, new.actor);
    return new;
  end if;

  if tg_op = 'DELETE' then
    if old.state <> 'evicting' then
      raise exception 'a % replica must pass through evicting before it is deleted', old.state using errcode = 'GL001';
    end if;
    insert into placement_event (object_id, location_id, key, from_state, to_state, actor)
      values (old.object_id, old.location_id, old.key, old.state, null, old.actor);
    return old;
  end if;

  if (new.object_id, new.location_id) is distinct from (old.object_id, old.location_id) then
    raise exception 'a replica keeps its object and location' using errcode = 'GL001';
  end if;
  if new.key is distinct from old.key then
    if new.state <> 'verified' or new.proof_level < 3
       or not (old.state = 'verified' and exists (
                 select from class_change
                 where object_id = old.object_id and location_id = old.location_id and from_key = old.key
                   and to_key = new.key and doomed_key is null)
               or old.state in ('suspect', 'writing') and new.is_adopted) then
      raise exception 'a replica keeps its key, but for the proven copy of a class change and for adopted bytes'
        using errcode = 'GL001';
    end if;
    insert into used_key (location_id, key) values (new.location_id, new.key) on conflict do nothing;
    insert into placement_event (object_id, location_id, key, from_state, to_state, proof_level, proof, actor)
      values (new.object_id, new.location_id, new.key, old.state, new.state, new.proof_level, new.proof, new.actor);
    return new;
  end if;
  if new.state = old.state then
    return new;
  end if;
  if (old.state, new.state) not in (('writing', 'verified'), ('verified', 'suspect'), ('suspect', 'verified'),
                                    ('verified', 'evicting'), ('suspect', 'evicting'), ('writing', 'evicting'),
                                    ('evicting', 'verified'), ('evicting', 'suspect')) then
    raise exception 'a replica does not go from % to %', old.state, new.state using errcode = 'GL001';
  end if;
  if new.state = 'evicting' then
    if new.removal is null then
      raise exception 'a replica goes for a reason' using errcode = 'GL001';
    end if;
    update stored_object set placement_version = placement_version + 1
      where id = old.object_id returning state, min_copies, is_linked into object_state, required, is_acknowledged;
    if new.removal = 'decided' and object_state <> 'purging' then
      raise exception 'object % is live: nobody decided to delete it', old.object_id using errcode = 'GL002';
    end if;
    if object_state = 'live' then
      select count(*) into remaining from replica
        where object_id = old.object_id and location_id <> old.location_id and state = 'verified';
      if old.state <> 'writing' or new.removal = 'other-copy' then
        if remaining < required then
          raise exception 'object % would keep % of % verified copies', old.object_id, remaining, required
            using errcode = 'GL002';
        end if;
      elsif new.removal = 'wrong-bytes' and is_acknowledged and remaining < 1 then
        raise exception 'object % has no verified copy: what was written at % is kept', old.object_id, old.location_id
          using errcode = 'GL002';
      end if;
    end if;
  else
    new.removal := null;
    if old.state = 'evicting' and new.state = 'verified' and new.proof_level < 3 then
      raise exception 'what was being given up comes back by a proof only' using errcode = 'GL001';
    end if;
  end if;
  insert into placement_event (object_id, location_id, key, from_state, to_state, proof_level, proof, actor)
    values (new.object_id, new.location_id, new.key, old.state, new.state, new.proof_level, new.proof,
            new.actor);
  return new;
end $$;
