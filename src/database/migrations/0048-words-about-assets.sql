-- What members of an album say of it, or of one asset in it: that goes when the asset leaves the album.
create table activity (
  id uuid primary key default gen_random_uuid(),
  album_id uuid not null references album on delete cascade,
  user_id uuid not null references app_user on delete cascade,
  asset_id uuid references asset on delete cascade,
  comment text,                                        -- null: it is liked
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  foreign key (album_id, asset_id) references album_asset on delete cascade
);
create unique index activity_like on activity (
  album_id, user_id, coalesce(asset_id, '00000000-0000-0000-0000-000000000000')) where comment is null;
create index activity_album on activity (album_id, created_at);
create index activity_user on activity (user_id);
create index activity_asset on activity (asset_id) where asset_id is not null;

-- What clients keep with an asset, by their own keys.
create table asset_metadata (
  asset_id uuid not null references asset on delete cascade,
  key text not null,
  value jsonb not null check (jsonb_typeof(value) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (asset_id, key)
);

-- `value`: the whole path, as `Places/Vienna`, of which the last part is the tag's name.
create table tag (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null references app_user on delete cascade,
  parent_id uuid references tag on delete cascade,
  value text not null,
  color text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (owner_id, value)
);
create index tag_parent on tag (parent_id) where parent_id is not null;
create table tag_asset (
  tag_id uuid not null references tag on delete cascade,
  asset_id uuid not null references asset on delete cascade,
  created_at timestamptz not null default now(),
  primary key (tag_id, asset_id)
);
create index tag_asset_asset on tag_asset (asset_id);
