-- What the reader of metadata found in a file and no column shows yet (tags, faces, serial numbers ...), so that features to come
-- need not read the file again; and which version of the reader it was, so that a better one knows what to read again.
create table asset_reading (
  asset_id uuid primary key references asset on delete cascade,
  reader_version int not null,                         -- media/metadata/reader-version.ts; 0: before there was one
  details jsonb not null default '{}',                 -- media/facts.ts, FileDetails, without what is null or empty
  read_at timestamptz not null default now()
);
-- What waits for the current version, in the order in which it is read.
create index asset_reading_version on asset_reading (reader_version, asset_id);
insert into asset_reading (asset_id, reader_version, read_at)
  select id, 0, created_at from asset where processing <> 'pending';

-- Behind which of those that wait the next look goes on; no row: at the start.
create table reading_sweep (
  is_only boolean primary key default true check (is_only),
  after_version int not null,
  after_asset uuid not null
);

-- What reading again has cost on each day, in UTC: bytes that came from buckets, and bytes of archived originals whose restore was
-- asked for.
create table reading_day (
  day date primary key,
  bucket_bytes bigint not null default 0 check (bucket_bytes >= 0),
  archive_bytes bigint not null default 0 check (archive_bytes >= 0)
);
