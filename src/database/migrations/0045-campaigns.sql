-- Campaigns: objects of some kinds, users, albums or ages move from locations to others. `campaign_object` is the journal.

create table campaign (
  id uuid primary key,
  created_at timestamptz not null default now(),
  actor text not null,
  reason text not null check (reason in ('asked', 'configuration', 'rollback')),
  reverse_of uuid references campaign on delete set null,
  -- What: objects that are older than the campaign, and belong at one of `from_ids`.
  kinds text[] not null check (cardinality(kinds) > 0),
  owner_ids uuid[],                                    -- null: of everybody
  album_ids uuid[],                                    -- null: in albums or not
  older_than_days int check (older_than_days >= 0),
  younger_than_days int check (younger_than_days > 0),
  from_ids text[] not null,
  to_ids text[] not null check (cardinality(to_ids) > 0 and not from_ids && to_ids),
  -- How.
  bytes_per_second bigint check (bytes_per_second > 0),
  from_minute int check (from_minute between 0 and 1439),   -- of the day, by the server's clock
  until_minute int check (until_minute between 0 and 1439),
  workers int not null default 2 check (workers between 1 and 4),
  hold_hours int not null default 168 check (hold_hours >= 0),
  -- How it stands.
  phase text not null default 'proposed' check (phase in ('proposed', 'checking', 'checked', 'rehearsing', 'rehearsed',
    'copying', 'holding', 'reclaiming', 'rolling-back', 'done', 'rolled-back', 'cancelled')),
  phase_since timestamptz not null default now(),
  paused_at timestamptz,
  paused_why text,                                     -- null: somebody wanted it
  scanned_to uuid,                                     -- the last object that was looked at
  is_scanned boolean not null default false,
  checked_to uuid,
  is_sampled boolean not null default false,
  sample_bytes bigint not null default 0,              -- copied and proven in the rehearsal
  sample_ms bigint not null default 0,                 -- in how much time of its workers
  hold_until timestamptz,
  failures_in_a_row int not null default 0,
  check ((from_minute is null) = (until_minute is null)),
  check (from_minute is distinct from until_minute or from_minute is null)
);
create index campaign_reverse_of on campaign (reverse_of);

-- An object is named here, and not referenced: it may be purged meanwhile.
create table campaign_object (
  campaign_id uuid not null references campaign on delete cascade,
  object_id uuid not null,
  kind text not null,
  size bigint not null,
  state text not null default 'pending' check (state in ('pending', 'unfit', 'moving', 'failed', 'held', 'reclaiming',
    'reclaimed', 'returning', 'returned', 'kept', 'gone')),
  cause text,                                          -- why it is unfit, failed, or kept
  error text,
  attempts int not null default 0,
  not_before timestamptz,
  claim uuid,                                          -- of the worker that is at it
  lease_expires_at timestamptz,
  is_sample boolean not null default false,
  rehearsed_at timestamptz,
  made_ids text[] not null default '{}',               -- where this campaign made a copy
  is_assigned boolean not null default false,          -- where it belongs is by this campaign
  before_ids text[],                                   -- its assignment before; null: none
  before_at timestamptz,
  belonged_at text[] not null default '{}',            -- where it belonged before, by whatever rule
  primary key (campaign_id, object_id)
);
-- The next ones of a state, and all counts without the table.
create index campaign_object_state on campaign_object (campaign_id, state, object_id) include (size, cause);
-- An object is moved by one campaign at a time.
create unique index campaign_object_open on campaign_object (object_id)
  where state in ('moving', 'held', 'reclaiming', 'returning', 'kept');

-- The same table as in placement/migration/object-states.ts: a mistake there can't skip a step.
create function guard_campaign_object() returns trigger language plpgsql as $$
begin
  if new.state <> old.state and (old.state, new.state) not in (
    ('pending', 'moving'), ('pending', 'unfit'), ('pending', 'gone'), ('unfit', 'pending'),
    ('moving', 'held'), ('moving', 'unfit'), ('moving', 'failed'), ('moving', 'returning'), ('moving', 'gone'),
    ('failed', 'pending'), ('failed', 'gone'),
    ('held', 'reclaiming'), ('held', 'returning'), ('held', 'gone'),
    ('reclaiming', 'reclaimed'), ('reclaiming', 'kept'), ('reclaiming', 'gone'),
    ('returning', 'returned'), ('returning', 'pending'), ('returning', 'kept'), ('returning', 'failed'), ('returning', 'gone'),
    ('kept', 'held'), ('kept', 'returning'), ('kept', 'gone')) then
    raise exception 'an object of a campaign does not go from % to %', old.state, new.state using errcode = 'GL001';
  end if;
  return new;
end $$;
create trigger guard_campaign_object before update of state on campaign_object
  for each row execute function guard_campaign_object();
