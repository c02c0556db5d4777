-- Set by a process whose breaker opened, so that the others need not find out by waiting each; null while the place answers.
alter table location add column away_since timestamptz;

-- A location that an administrator made unreachable for some minutes, to see that everything copes. It ends when its time is
-- over, whoever is alive then. One row for each location: the last drill.
create table drill (
  location_id text primary key references location,
  started_at timestamptz not null default now(),
  ends_at timestamptz not null,
  actor text not null,                                 -- `user <id>`, or `cli`
  check (ends_at <= started_at + interval '61 minutes')
);
