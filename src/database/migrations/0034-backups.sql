-- Backups of this database, which Glassine makes itself.

-- Which installation a backup is of, and for whom backups are encrypted. One row, which a restore brings back.
create table installation (
  is_only boolean primary key default true check (is_only),
  id uuid not null default gen_random_uuid(),
  created_at timestamptz not null default now(),
  -- The public half of the backup key; null: none was made yet.
  recipient text,
  -- When somebody said that the key is written down.
  key_confirmed_at timestamptz,
  check (key_confirmed_at is null or recipient is not null)
);
insert into installation default values;

-- What is known of each object of the kind database-backup. `number` counts them in the order in which this
-- ledger has met them, so that the newest one is known whatever the clock said.
create table database_backup (
  object_id uuid primary key references stored_object (id) on delete cascade,
  number bigint not null generated always as identity unique,
  taken_at timestamptz not null,
  migration text not null,
  row_count bigint not null check (row_count >= 0)
);
