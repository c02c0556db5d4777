-- How many verified copies the objects of a kind keep, by storage.minCopies: one number for the kind, so that a changed configuration
-- holds at once for a million objects. The column of each object was never anything but 1.
alter table home add column min_copies int not null default 1 check (min_copies >= 1);

create or replace function guard_replica() returns trigger language plpgsql as $$
declare object_state text; object_kind text; required int := 1; remaining int; is_acknowledged boolean;
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
      where id = old.object_id returning state, kind, is_linked into object_state, object_kind, is_acknowledged;
    if new.removal = 'decided' and object_state <> 'purging' then
      raise exception 'object % is live: nobody decided to delete it', old.object_id using errcode = 'GL002';
    end if;
    if object_state = 'live' then
      -- What does not count as a copy leaves as many copies as there were: one of them must be right, so that it can be made anew.
      if old.state = 'verified' then
        required := coalesce((select min_copies from home where kind = object_kind), 1);
      end if;
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

alter table stored_object drop column min_copies;
