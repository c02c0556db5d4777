-- What is still failing, told from what failed and was done since: each piece of work once, whatever its attempts.

alter table job_failure
  add column key text,                                 -- the job's; null: of a time when it was not noted
  add column code text not null default 'unexpected',  -- what kind of error, as the error itself says
  add column solved_at timestamptz;                    -- since then the work is done, or waits for a place that is away

-- What failed before was noted without its key. Dead jobs and those that are tried again have one still.
update job_failure set key = case job
  when 'process-asset' then 'process:' || (payload->>'assetId')
  when 'transcode-video' then 'transcode:' || (payload->>'assetId')
  when 'prove-upload' then 'prove:' || (payload->>'uploadId')
  when 'replicate-object' then 'replicate:' || (payload->>'objectId') || ':' || (payload->>'to')
  when 'evict-replica' then 'evict:' || (payload->>'objectId') || ':' || (payload->>'from')
  when 'purge-object' then 'purge:' || (payload->>'objectId')
  when 'change-class' then 'class:' || (payload->>'objectId') || ':' || (payload->>'at')
  when 'restore-replica' then 'restore:' || (payload->>'objectId') || ':' || (payload->>'at')
  when 'adopt-location' then 'adopt:' || (payload->>'locationId')
  else 'recurring ' || job
end;

create index job_failure_open on job_failure (key) where solved_at is null;

-- When a location was in trouble: one row from the moment it was noticed to the moment a probe found it well.
create table outage (
  id bigint generated always as identity primary key,
  location_id text not null references location,
  began_at timestamptz not null default now(),
  ended_at timestamptz,                                -- null: it lasts
  cause text not null,
  is_drill boolean not null default false,
  waited integer not null default 0                    -- jobs that had waited for its end
);
create unique index outage_lasting on outage (location_id) where ended_at is null;
create index outage_began on outage (began_at);
