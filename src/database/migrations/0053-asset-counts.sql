-- How many assets each user has, by month and by what is shown apart. Counting a million assets took 0.5 s for each start of the
-- page. The rows are differences: each change of assets appends some in its own transaction, and the count is their sum. There
-- is no row that two transactions change, so nobody waits and there are no deadlocks. `merge-counts` replaces them by their sums.
-- Without a reference to the user: the rows of a user who is removed add up to nothing, and are merged away.
create table asset_count (
  owner_id uuid not null,
  month date not null,
  type text not null,
  visibility text not null,
  is_trashed boolean not null,
  is_favorite boolean not null,
  assets bigint not null,
  -- Sum of width / height, each rounded to nine places, so that the sum is exact in any order; 1 where a side is not known.
  ratio numeric not null,
  bytes numeric not null,
  is_merged boolean not null default false
);
create index asset_count_owner on asset_count (owner_id);
create index asset_count_unmerged on asset_count (owner_id) where not is_merged;

create function ratio_of(width int, height int) returns numeric language sql immutable parallel safe as $$
  select coalesce(round(width::numeric / height, 9), 1)
$$;

create function count_added_assets() returns trigger language plpgsql as $$
begin
  insert into asset_count (owner_id, month, type, visibility, is_trashed, is_favorite, assets, ratio, bytes)
    select owner_id, date_trunc('month', local_date_time), type, visibility, deleted_at is not null, is_favorite,
      count(*), sum(ratio_of(width, height)), sum(file_size)
    from added group by 1, 2, 3, 4, 5, 6;
  return null;
end $$;

create function count_removed_assets() returns trigger language plpgsql as $$
begin
  insert into asset_count (owner_id, month, type, visibility, is_trashed, is_favorite, assets, ratio, bytes)
    select owner_id, date_trunc('month', local_date_time), type, visibility, deleted_at is not null, is_favorite,
      -count(*), -sum(ratio_of(width, height)), -sum(file_size)
    from removed group by 1, 2, 3, 4, 5, 6;
  return null;
end $$;

create function count_changed_asset() returns trigger language plpgsql as $$
begin
  insert into asset_count (owner_id, month, type, visibility, is_trashed, is_favorite, assets, ratio, bytes) values
    (old.owner_id, date_trunc('month', old.local_date_time), old.type, old.visibility, old.deleted_at is not null,
      old.is_favorite, -1, -ratio_of(old.width, old.height), -old.file_size),
    (new.owner_id, date_trunc('month', new.local_date_time), new.type, new.visibility, new.deleted_at is not null,
      new.is_favorite, 1, ratio_of(new.width, new.height), new.file_size);
  return null;
end $$;

create trigger count_added after insert on asset referencing new table as added
  for each statement execute function count_added_assets();
create trigger count_removed after delete on asset referencing old table as removed
  for each statement execute function count_removed_assets();
-- For each row, so that an update of anything else costs nothing.
create trigger count_changed after update of owner_id, local_date_time, type, visibility, deleted_at, is_favorite, width, height,
    file_size on asset
  for each row when (
    (old.owner_id, date_trunc('month', old.local_date_time), old.type, old.visibility, old.deleted_at is null, old.is_favorite,
      old.width, old.height, old.file_size)
    is distinct from
    (new.owner_id, date_trunc('month', new.local_date_time), new.type, new.visibility, new.deleted_at is null, new.is_favorite,
      new.width, new.height, new.file_size))
  execute function count_changed_asset();

-- The triggers' locks keep writers away until this is committed, so nothing is missed.
insert into asset_count
  select owner_id, date_trunc('month', local_date_time), type, visibility, deleted_at is not null, is_favorite,
    count(*), sum(ratio_of(width, height)), sum(file_size), true
  from asset group by 1, 2, 3, 4, 5, 6;
