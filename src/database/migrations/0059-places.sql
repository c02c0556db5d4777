-- What the place of the coordinates is called (city, state, country) is looked up here, without asking anybody. The version of the
-- data that did it (library/places/places-data.ts, PLACES_VERSION): null where the coordinates still wait for their names. Names stay
-- as they are when there is newer data, until somebody asks for newer ones.
alter table asset_exif add column places_version int;

-- Those that wait, in the order in which they are named; nearly empty once all are.
create index asset_exif_without_place on asset_exif (asset_id)
  where places_version is null and latitude is not null and longitude is not null;

-- Whoever changed the coordinates was taken for having emptied the names. They belong to the coordinates.
update asset_exif set user_set = array(
    select field from unnest(user_set) as field where field not in ('city', 'state', 'country') order by field)
  where user_set && array['city', 'state', 'country'];
