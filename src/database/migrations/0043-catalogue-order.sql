-- What brings back what the catalogue says asks for each file that no catalogue names by its id whether one
-- names its key: of a photo that was repaired, the key has the id of the upload.
create index catalogue_found_keys on catalogue_found using gin ((entry -> 'original' -> 'keys') jsonb_path_ops)
  where kind = 'asset' and not is_gone;

-- The SHA-256 of the batches of other databases, or of an older state of this one, that it goes on from.
alter table catalogue_state add column followed text[] not null default '{}';
