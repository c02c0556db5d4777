-- What was photographed on this day of an earlier year. `made_for`: the day that the server made it for; null: a
-- client made it. `show_at`, `hide_at`: when it is shown; null: always.
create table memory (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null references app_user on delete cascade,
  type text not null default 'on_this_day' check (type = 'on_this_day'),
  data jsonb not null,
  is_saved boolean not null default false,
  memory_at timestamptz not null,
  made_for date,
  show_at timestamptz,
  hide_at timestamptz,
  seen_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create index memory_owner on memory (owner_id, memory_at);
create unique index memory_made_for on memory (owner_id, made_for, memory_at) where made_for is not null;

create table memory_asset (
  memory_id uuid not null references memory on delete cascade,
  asset_id uuid not null references asset on delete cascade,
  created_at timestamptz not null default now(),
  primary key (memory_id, asset_id)
);
create index memory_asset_asset on memory_asset (asset_id);

-- The last day that a user's memories were made for: those that were deleted do not come back.
create table memory_progress (
  owner_id uuid primary key references app_user on delete cascade,
  made_until date not null
);
