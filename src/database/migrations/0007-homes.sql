-- Where each kind of file belongs by storage.locations, and since when. What is older and not there is on the move; what is
-- younger waits for its first copy.
create table home (
  kind text primary key,
  location_ids jsonb not null,
  since timestamptz not null default now()
);
