-- Zips that a browser was given an address for, so that it streams them to the disk by itself, and how far each one is. Rows of
-- bookkeeping: nothing is kept by them, and the newest ten of a user are all that there is.
create table archive_download (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null references app_user on delete cascade,
  asset_ids uuid[] not null,
  name text not null,                                  -- without .zip
  total_bytes bigint not null,                         -- of the originals, until it is sent; then of the zip
  sent_bytes bigint not null default 0,
  state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
  error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index archive_download_owner on archive_download (owner_id, created_at desc);
