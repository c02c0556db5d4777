-- Glassine's first schema. Identifiers are snake_case; sizes are bytes; digests are raw bytes, not text.
-- tests/schema.dump.sql shows what all migrations together make of an empty database.

------------------------------------------------------------------------------------------------ users and access

create table app_user (
  id uuid primary key default gen_random_uuid(),
  email text not null,
  name text not null,
  password_hash text not null,                         -- scrypt, see library/passwords.ts
  is_admin boolean not null default false,
  should_change_password boolean not null default false,
  avatar_color text not null default 'primary',
  profile_image_object_id uuid,                        -- references stored_object, below
  profile_changed_at timestamptz not null default now(),
  storage_label text,
  quota_bytes bigint check (quota_bytes >= 0),         -- null: no limit
  preferences jsonb not null default '{}',
  is_onboarded boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index app_user_email on app_user (lower(email));

create table session (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references app_user on delete cascade,
  token_hash bytea not null unique,                    -- SHA-256 of the token; the token itself is nowhere
  device_type text not null default '',
  device_os text not null default '',
  app_version text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  expires_at timestamptz
);
create index session_of_user on session (user_id);

create table api_key (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references app_user on delete cascade,
  name text not null,
  key_hash bytea not null unique,                      -- SHA-256 of the key
  permissions text[] not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index api_key_user on api_key (user_id);

-- Settings that belong to the whole server and are set at run time (admin onboarding done, a server id ...).
create table system_metadata (
  key text primary key,
  value jsonb not null
);

-- Each version of the server that ever ran on this database.
create table version_history (
  id uuid primary key default gen_random_uuid(),
  version text not null,
  created_at timestamptz not null default now()
);

------------------------------------------------------------------------------------------------ placement

-- A configured place. `identity` says which place on earth it is (endpoint + bucket + prefix, or the marker of a folder),
-- so that a location that silently became another one is noticed before anything is written.
create table location (
  id text primary key,
  kind text not null check (kind in ('disk', 's3', 'memory')),
  identity text not null,
  marker uuid,                                         -- null: never reached, so nothing was ever written there
  created_at timestamptz not null default now(),
  probed_at timestamptz,
  probe jsonb,                                         -- the last ProbeReport
  is_healthy boolean,
  health_error text,
  health_changed_at timestamptz,
  last_success_at timestamptz
);

-- Immutable bytes of one kind. Its size and SHA-256 are known before its first replica is written.
create table stored_object (
  id uuid primary key,
  owner_id uuid not null,
  asset_id uuid,                                       -- null: belongs to the user (a profile image)
  kind text not null check (kind in ('original', 'sidecar', 'thumbnail', 'preview', 'fullsize', 'encoded-video',
                                     'profile-image', 'person-face', 'database-backup')),
  size bigint not null check (size >= 0),
  sha256 bytea not null check (octet_length(sha256) = 32),
  content_type text not null,
  extension text not null,                             -- of the key, lower case, without a dot
  state text not null default 'live' check (state in ('live', 'purging')),
  min_copies int not null default 1 check (min_copies >= 1),
  placement_version int not null default 0,            -- makes racing evictions conflict, see guard_replica
  is_linked boolean not null default false,            -- a row of the library refers to it; false for long: an orphan
  created_at timestamptz not null default now()
);
create index stored_object_asset on stored_object (asset_id);
create index stored_object_owner on stored_object (owner_id);
create index stored_object_unlinked on stored_object (created_at) where not is_linked or state = 'purging';

alter table app_user add foreign key (profile_image_object_id) references stored_object;

-- One object at one location. No row: not there.
create table replica (
  object_id uuid not null references stored_object,
  location_id text not null references location,
  key text not null,
  state text not null check (state in ('writing', 'verified', 'suspect', 'evicting')),
  proof_level smallint check (proof_level between 0 and 4),
  proof jsonb,                                         -- how it was proven: method, etag, digests the location attested to
  verified_at timestamptz,
  lease_expires_at timestamptz,                        -- of `writing`: after it the writer is taken for dead
  actor text not null,                                 -- who last changed it: 'upload', 'job replicate-object', 'cli' ...
  created_at timestamptz not null default now(),
  primary key (object_id, location_id),
  unique (location_id, key),
  check (state <> 'verified' or (verified_at is not null and proof_level is not null)),
  check (state <> 'writing' or lease_expires_at is not null)
);
create index replica_location on replica (location_id, state);
create index replica_unsettled on replica (lease_expires_at) where state = 'writing';
create index replica_evicting on replica (object_id) where state in ('evicting', 'suspect');

-- A key is used once, ever, also after its replica is gone (peers overwrote live bytes by reusing one).
create table used_key (
  location_id text not null,
  key text not null,
  primary key (location_id, key)
);

-- What happened to every replica, append-only, written by the trigger below so that no code path can forget it.
create table placement_event (
  id bigint generated always as identity primary key,
  object_id uuid not null,
  location_id text not null,
  key text not null,
  from_state text,                                     -- null: absent
  to_state text,                                       -- null: absent
  proof_level smallint,
  proof jsonb,
  actor text not null,
  at timestamptz not null default clock_timestamp()
);
create index placement_event_object on placement_event (object_id, id);

-- Somebody needs the local copy: it is not evicted while an unexpired lease stands.
create table local_lease (
  id uuid primary key,
  object_id uuid not null references stored_object on delete cascade,
  purpose text not null,
  expires_at timestamptz not null
);
create index local_lease_object on local_lease (object_id);

-- The last-copy rule and the state machine of placement/states.ts, enforced for whoever asks.
-- Bumping placement_version (not SELECT FOR UPDATE) makes two racing evictions conflict at every isolation level: with
-- FOR UPDATE under repeatable read both copies were given up.
create function guard_replica() returns trigger language plpgsql as $$
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
    if old.state in ('verified', 'suspect') then
      raise exception 'a % replica must pass through evicting before it is deleted', old.state using errcode = 'GL001';
    end if;
    insert into placement_event (object_id, location_id, key, from_state, to_state, actor)
      values (old.object_id, old.location_id, old.key, old.state, null, old.actor);
    return old;
  end if;

  if (new.object_id, new.location_id, new.key) is distinct from (old.object_id, old.location_id, old.key) then
    raise exception 'a replica keeps its object, location and key' using errcode = 'GL001';
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
create trigger guard_replica before insert or update or delete on replica for each row execute function guard_replica();

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'GL003';
end $$;
create trigger placement_event_append_only before update or delete on placement_event
  for each row execute function refuse_change();
create trigger placement_event_no_truncate before truncate on placement_event
  for each statement execute function refuse_change();
create trigger replica_no_truncate before truncate on replica
  for each statement execute function refuse_change();

-- The user's decision to delete is final: `purging` never becomes `live` again, and a live object's row is never deleted.
create function guard_stored_object() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.state <> 'purging' then
      raise exception 'object % is live', old.id using errcode = 'GL001';
    end if;
    return old;
  end if;
  if old.state = 'purging' and new.state <> 'purging' then
    raise exception 'object % is purging for good', old.id using errcode = 'GL001';
  end if;
  if (new.id, new.owner_id, new.kind, new.size, new.sha256) is distinct from
     (old.id, old.owner_id, old.kind, old.size, old.sha256) then
    raise exception 'object % is immutable', old.id using errcode = 'GL001';
  end if;
  return new;
end $$;
create trigger guard_stored_object before update or delete on stored_object
  for each row execute function guard_stored_object();

------------------------------------------------------------------------------------------------ the library

create table asset (
  id uuid primary key,
  owner_id uuid not null references app_user,
  type text not null check (type in ('IMAGE', 'VIDEO', 'AUDIO', 'OTHER')),
  checksum bytea not null check (octet_length(checksum) = 20),  -- SHA-1, the one that Immich's clients know
  original_object_id uuid not null references stored_object,
  original_file_name text not null,
  original_mime_type text not null,
  file_size bigint not null,
  file_created_at timestamptz not null,                -- when it was taken, as an instant
  file_modified_at timestamptz not null,
  local_date_time timestamp not null,                  -- when it was taken, on the wall clock of that place
  time_zone text,                                      -- IANA name or UTC+02:00; null: unknown
  created_at timestamptz not null default now(),       -- when it was added here
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,                              -- in the trash since
  is_favorite boolean not null default false,
  visibility text not null default 'timeline' check (visibility in ('timeline', 'archive', 'hidden', 'locked')),
  live_photo_video_id uuid references asset,
  width int check (width > 0),                         -- as displayed, after orientation; null: unknown
  height int check (height > 0),
  duration_ms bigint,                                  -- null: not a moving picture
  thumbhash bytea,
  processing text not null default 'pending' check (processing in ('pending', 'done', 'failed')),
  processing_error text,                               -- why there is no preview; the file itself is kept and served
  update_id bigint generated always as identity
);
create unique index asset_owner_checksum on asset (owner_id, checksum) include (file_size);  -- size: for the quota's sum
-- Width and height are in it so that counting 100,000 assets by month, with their ratios, never touches the table (20 ms
-- instead of 70).
create index asset_timeline on asset (owner_id, visibility, local_date_time desc, id) include (width, height)
  where deleted_at is null;
create index asset_taken on asset (owner_id, file_created_at desc, id desc);  -- the order of searches and their pages
create index asset_deleted on asset (deleted_at) where deleted_at is not null;
create index asset_original_object on asset (original_object_id);

-- The generated files and sidecars of an asset: the current object of each kind.
create table asset_file (
  asset_id uuid not null references asset on delete cascade,
  kind text not null check (kind in ('sidecar', 'thumbnail', 'preview', 'fullsize', 'encoded-video')),
  object_id uuid not null references stored_object,
  width int,
  height int,
  primary key (asset_id, kind)
);
create index asset_file_object on asset_file (object_id);

create table asset_exif (
  asset_id uuid primary key references asset on delete cascade,
  make text, model text, lens_model text,
  exif_image_width int, exif_image_height int, orientation text,
  date_time_original timestamptz, modify_date timestamptz, time_zone text,
  latitude double precision, longitude double precision,
  city text, state text, country text,
  f_number double precision, focal_length double precision, iso int, exposure_time text, fps double precision,
  description text not null default '',
  rating int check (rating between -1 and 5),
  projection_type text,
  user_set text[] not null default '{}',               -- columns that the user set: reading the file again leaves them alone
  updated_at timestamptz not null default now()
);

create table album (
  id uuid primary key default gen_random_uuid(),
  name text not null default 'Untitled Album',
  description text not null default '',
  thumbnail_asset_id uuid references asset on delete set null,
  is_activity_enabled boolean not null default true,
  asset_order text not null default 'desc' check (asset_order in ('asc', 'desc')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table album_user (
  album_id uuid not null references album on delete cascade,
  user_id uuid not null references app_user on delete cascade,
  role text not null check (role in ('owner', 'editor', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (album_id, user_id)
);
create unique index album_owner on album_user (album_id) where role = 'owner';
create index album_user_user on album_user (user_id);

create table album_asset (
  album_id uuid not null references album on delete cascade,
  asset_id uuid not null references asset on delete cascade,
  created_at timestamptz not null default now(),
  primary key (album_id, asset_id)
);
create index album_asset_asset on album_asset (asset_id);

------------------------------------------------------------------------------------------------ jobs

-- A worker process that is alive. One that has not beaten for 30 s is dead: its jobs are unlocked.
create table worker_heartbeat (
  worker_id text primary key,
  beaten_at timestamptz not null default now()
);

create table paused_queue (
  queue text primary key,
  paused_at timestamptz not null default now(),
  paused_by text
);

-- When a recurring job is due next; whichever worker moves `next_at` on enqueues it.
create table job_schedule (
  job text primary key,
  next_at timestamptz not null
);

-- Jobs that ended by throwing; what the storage page and `GET /api/jobs` count. Kept 30 days.
create table job_failure (
  id bigint generated always as identity primary key,
  job text not null,
  queue text not null,
  payload jsonb not null,
  attempt int not null,
  error text not null,
  is_final boolean not null,
  at timestamptz not null default clock_timestamp()
);
create index job_failure_at on job_failure (queue, at);
