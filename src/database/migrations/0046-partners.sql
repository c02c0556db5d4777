-- Who shows all of their timeline to whom. `in_timeline`: who it is shown to wants it among their own.
create table partner (
  shared_by_id uuid not null references app_user on delete cascade,
  shared_with_id uuid not null references app_user on delete cascade,
  in_timeline boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (shared_by_id, shared_with_id),
  check (shared_by_id <> shared_with_id)
);
create index partner_shared_with on partner (shared_with_id);
