-- Storage classes: what a replica is kept in, how it gets into another one, and the restores of archived ones.

alter table replica
  add column storage_class text,                       -- as the location names it; null: the location's ordinary one
  add column class_since timestamptz not null default now();  -- minimum durations are counted from here
create index replica_storage_class on replica (location_id, storage_class) where storage_class is not null;

-- A replica on its way to other bytes of the same object at the same location: a copy in another class, under a key of its
-- own. Until the copy is proven the replica names the old key, from then on the new one; the bytes under the other key go,
-- and then the row. `doomed_key` is written when it is decided which. They go for good only at `clear_after`: the old ones are
-- read until then by whoever began before, and a copy that was given up may be made late.
create table class_change (
  object_id uuid not null references stored_object,
  location_id text not null references location,
  from_key text not null,
  to_key text not null,
  to_class text not null,
  doomed_key text check (doomed_key in (from_key, to_key)),  -- null: still copying
  lease_expires_at timestamptz not null,               -- while copying: after it the writer is taken for dead
  clear_after timestamptz,                             -- of doomed bytes
  actor text not null,
  created_at timestamptz not null default now(),
  primary key (object_id, location_id),
  unique (location_id, to_key),
  check (from_key <> to_key),
  check ((doomed_key is null) = (clear_after is null))
);
create index class_change_due on class_change (coalesce(clear_after, lease_expires_at));

-- A class that a replica is not brought into for now: a copy there could not be proven. Copies into some classes are billed for
-- half a year, so none is repeated day after day.
create table class_refusal (
  object_id uuid not null,
  location_id text not null,
  to_class text not null,
  reason text not null,                                -- for people
  refused_until timestamptz not null,
  primary key (object_id, location_id),
  foreign key (object_id, location_id) references replica on delete cascade
);

-- Where the daily look for replicas that belong in another class stopped, having asked for as many changes as a day may; the
-- next one goes on behind it.
create table class_sweep (
  is_only boolean primary key default true check (is_only),
  after_object uuid not null,
  after_location text not null
);

-- A new key is used up like that of any replica, and no key is doomed that a replica names.
create function guard_class_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.doomed_key is not null then
      raise exception 'a class change begins with copying' using errcode = 'GL001';
    end if;
    insert into used_key (location_id, key) values (new.location_id, new.to_key);
    return new;
  end if;
  if (new.object_id, new.location_id, new.from_key, new.to_key, new.to_class) is distinct from
     (old.object_id, old.location_id, old.from_key, old.to_key, old.to_class) then
    raise exception 'a class change keeps its keys and its class' using errcode = 'GL001';
  end if;
  if old.doomed_key is not null and new.doomed_key is distinct from old.doomed_key then
    raise exception 'which bytes go is decided once' using errcode = 'GL001';
  end if;
  if new.doomed_key is not null and exists (
       select from replica where object_id = new.object_id and location_id = new.location_id and key = new.doomed_key) then
    raise exception 'the replica of object % at % still names that key', new.object_id, new.location_id
      using errcode = 'GL002';
  end if;
  return new;
end $$;
create trigger guard_class_change before insert or update on class_change
  for each row execute function guard_class_change();

-- As in the first migration, but a verified replica may turn to the copy of its class change, proven as well as the proof
-- that gives up another copy: the old bytes go for it. The history shows the new key.
create or replace function guard_replica() returns trigger language plpgsql as $$
declare object_state text; required int; remaining int;
begin
  if tg_op = 'INSERT' then
    if new.state <> 'writing' then
      raise exception 'a replica begins as writing, not %', new.state using errcode = 'GL001';
    end if;
    insert into used_key (location_id, key) values (new.location_id, new.key);
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
    if old.state <> 'verified' or new.state <> 'verified' or new.proof_level < 3 or not exists (
         select from class_change
         where object_id = old.object_id and location_id = old.location_id and from_key = old.key and to_key = new.key
           and doomed_key is null) then
      raise exception 'a replica keeps its key, but for the proven copy of a class change' using errcode = 'GL001';
    end if;
    insert into placement_event (object_id, location_id, key, from_state, to_state, proof_level, proof, actor)
      values (new.object_id, new.location_id, new.key, old.state, new.state, new.proof_level, new.proof, new.actor);
    return new;
  end if;
  if new.state = old.state then
    return new;
  end if;
  if (old.state, new.state) not in (('writing', 'verified'), ('verified', 'suspect'), ('suspect', 'verified'),
                                    ('verified', 'evicting'), ('suspect', 'evicting'), ('writing', 'evicting')) then
    raise exception 'a replica does not go from % to %', old.state, new.state using errcode = 'GL001';
  end if;
  if new.state = 'evicting' then
    update stored_object set placement_version = placement_version + 1
      where id = old.object_id returning state, min_copies into object_state, required;
    -- Giving up a half-written replica gives up no copy; the other states count.
    if old.state <> 'writing' and object_state = 'live' then
      select count(*) into remaining from replica
        where object_id = old.object_id and location_id <> old.location_id and state = 'verified';
      if remaining < required then
        raise exception 'object % would keep % of % verified copies', old.object_id, remaining, required
          using errcode = 'GL002';
      end if;
    end if;
  end if;
  insert into placement_event (object_id, location_id, key, from_state, to_state, proof_level, proof, actor)
    values (new.object_id, new.location_id, new.key, old.state, new.state, new.proof_level, new.proof,
            new.actor);
  return new;
end $$;

-- A readable copy of an archived replica, asked for or there for a while; the bytes that count stay in the archive.
create table replica_restore (
  object_id uuid not null,
  location_id text not null,
  tier text not null check (tier in ('expedited', 'standard', 'bulk')),
  days int not null check (days between 1 and 365),
  requested_at timestamptz not null,
  requested_by uuid,                                   -- null: the command line
  expected_at timestamptz not null,
  accepted_at timestamptz,                             -- null: the location was not asked yet
  available_until timestamptz,                         -- null: not there yet
  check_at timestamptz not null,                       -- when the location is to be asked how it stands
  primary key (object_id, location_id),
  foreign key (object_id, location_id) references replica on delete cascade
);
create index replica_restore_check on replica_restore (check_at);
