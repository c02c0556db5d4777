-- What brings back what the catalogue says asks for each file that no catalogue names by its id whether one
-- names its key: of a photo that was repaired, the key has the id of the upload.
create index catalogue_found_keys on catalogue_found using gin ((entry -> 'original' -> 'keys') jsonb_path_ops)
  where kind = 'asset' and not is_gone;

-- The SHA-256 of the batches of other databases, or of an older state of this one, that it goes on from.
alter table catalogue_state add column followed text[] not null default '{}';
-- Those that they name and that were missing: when one is found, it is read as one that is new.
alter table catalogue_state add column unread text[] not null default '{}';

-- What the last taking over could not bring back. `is_there`: the asset itself was, so that only files of it
-- are lacking, and what people have changed of it since stays.
create table catalogue_left_over (
  kind text not null check (kind in ('user', 'asset', 'album')),
  id uuid not null,
  is_there boolean not null,
  entry jsonb not null,
  primary key (kind, id)
);
alter table catalogue_found add column is_there_already boolean not null default false;
