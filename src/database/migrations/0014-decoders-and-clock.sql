-- How often the decoder of an asset took too much time or memory, or died, since somebody last asked for its processing. Not the
-- attempts of the job: those also count the deaths of workers.
alter table asset add column decoder_failures smallint not null default 0;
-- How many of an owner's assets wait: the more, the later the next.
create index asset_pending on asset (owner_id) where processing = 'pending';

-- Clocks jump: a dead battery, a virtual machine that was paused, a wrong NTP server. What removes something after a time asks
-- how much of that time Glassine has lived through. One row, written every minute by whoever runs.
create table clock_seen (
  only_row boolean primary key default true check (only_row),
  seen_at timestamptz not null
);

-- Times nobody has seen pass: the clock jumped over them, or nothing ran.
create table clock_gap (
  from_at timestamptz primary key,
  until_at timestamptz not null,
  noticed_at timestamptz not null default now(),
  check (from_at < until_at)
);

-- How long ago `since` is, without the gaps: negative for a moment to come.
create function lived_since(since timestamptz) returns interval
language sql stable as $$
  select now() - since - coalesce((
    select sum(least(until_at, now()) - greatest(from_at, since))
    from clock_gap where until_at > since and from_at < now()), interval '0')
$$;

-- Times of four-digit years, in every zone: JavaScript and Immich's clients write and read others differently. What is beyond was
-- stored by mistake and is moved to the nearest end.
create function nearest_storable(at timestamptz) returns timestamptz language sql immutable as $$
  select least(greatest(at, timestamptz '0001-01-02 00:00:00+00'), timestamptz '9999-12-30 00:00:00+00')
$$;
update asset set
  local_date_time = case when local_date_time between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999'
    then local_date_time else nearest_storable(file_created_at) at time zone 'UTC' end,
  file_created_at = nearest_storable(file_created_at),
  file_modified_at = nearest_storable(file_modified_at)
where file_created_at <> nearest_storable(file_created_at) or file_modified_at <> nearest_storable(file_modified_at)
  or local_date_time not between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999';
update asset_exif set date_time_original = nearest_storable(date_time_original), modify_date = nearest_storable(modify_date)
where date_time_original <> nearest_storable(date_time_original) or modify_date <> nearest_storable(modify_date);
drop function nearest_storable(timestamptz);

alter table asset add constraint asset_times check (
  file_created_at between timestamptz '0001-01-02 00:00:00+00' and timestamptz '9999-12-30 00:00:00+00'
  and file_modified_at between timestamptz '0001-01-02 00:00:00+00' and timestamptz '9999-12-30 00:00:00+00'
  and local_date_time between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999');
alter table asset_exif add constraint asset_exif_times check (
  date_time_original between timestamptz '0001-01-02 00:00:00+00' and timestamptz '9999-12-30 00:00:00+00'
  and modify_date between timestamptz '0001-01-02 00:00:00+00' and timestamptz '9999-12-30 00:00:00+00');
