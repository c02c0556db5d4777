-- Live photos: a still and a film that carry the same id (Apple's ContentIdentifier) belong together, whichever
-- came first. A film that is part of a picture's file (Android's motion photos) becomes an asset of its own.
alter table asset
  add column live_photo_id text,
  add column is_embedded boolean not null default false;

-- Asked for once for each file that carries one.
create index asset_live_photo_id on asset (owner_id, live_photo_id) where live_photo_id is not null;

-- A thumbhash that ends before its last term breaks whoever paints it. Its head says how many terms there are: bit
-- 23 that it has transparency, bits 24 to 26 how many luminance terms lie along its shorter edge, 1 to 7
-- (https://evanw.github.io/thumbhash/). The arrays hold the bytes that it must have, without and with transparency.
update asset set thumbhash = null where thumbhash is not null and not
  case when octet_length(thumbhash) between 6 and 64 and get_byte(thumbhash, 3) & 7 > 0 then
  octet_length(thumbhash) >= (array[
    [17, 17, 17, 19, 21, 23, 24],
    [23, 23, 23, 25, 25, 28, 29]
  ])[(get_byte(thumbhash, 2) >> 7) + 1][get_byte(thumbhash, 3) & 7]
else false end;
alter table asset add constraint asset_thumbhash check (thumbhash is null or
  case when octet_length(thumbhash) between 6 and 64 and get_byte(thumbhash, 3) & 7 > 0 then
  octet_length(thumbhash) >= (array[
    [17, 17, 17, 19, 21, 23, 24],
    [23, 23, 23, 25, 25, 28, 29]
  ])[(get_byte(thumbhash, 2) >> 7) + 1][get_byte(thumbhash, 3) & 7]
else false end);

-- What decoders said of a file named folders of the machine, and had line breaks written as two characters.
update asset
set processing_error = regexp_replace(
  replace(processing_error, '\n', ' '), '(^|[\s''"(=:,])/[^\s''",;)]+', '\1the file', 'g')
where processing_error ~ '(^|[\s''"(=:,])/[^\s''",;)]+' or position('\n' in processing_error) > 0;
