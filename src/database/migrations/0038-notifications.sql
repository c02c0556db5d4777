-- What an owner must know of, and what each person was told.

-- A condition that somebody must know of: opened when it is found, closed when it is over. An open one is
-- unique, so that of several processes, and after a restart, one opens it and tells people.
create table alert (
  id bigint primary key generated always as identity,
  kind text not null check (kind in ('photo-at-risk', 'late-backup', 'location-away', 'fewer-copies', 'unhealed')),
  subject text not null,                               -- the asset or the location; '': the installation
  facts jsonb not null default '{}',                   -- as they were when it was opened
  opened_at timestamptz not null default now(),
  closed_at timestamptz
);
create unique index alert_open on alert (kind, subject) where closed_at is null;
create index alert_closed on alert (id) where closed_at is not null;

-- What a user sees in the page and in Immich's apps.
create table notification (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references app_user on delete cascade,
  level text not null check (level in ('success', 'error', 'warning', 'info')),
  title text not null,
  description text not null,
  data jsonb not null,
  created_at timestamptz not null default now(),
  read_at timestamptz
);
create index notification_user on notification (user_id, created_at desc);

-- A message that is still to be sent; its id is what receivers know it by when it is sent twice. The row goes
-- when it was sent.
create table notification_delivery (
  id uuid primary key default gen_random_uuid(),
  channel text not null check (channel in ('email', 'webhook')),
  recipient text not null,                             -- an e-mail address; of the webhook: ''
  message jsonb not null,
  created_at timestamptz not null default now()
);
