-- What a page of a search looks at is in the index, so that page 200 does not read 200,000 rows to leave them out.
drop index asset_taken;
create index asset_taken on asset (owner_id, file_created_at desc, id desc) include (visibility, deleted_at);
-- The photos of one camera lie together in time, far from where a search begins: 1.5 s of reading what others took.
create index asset_exif_camera on asset_exif (model, make) include (asset_id);
-- From one value of a suggestion to the next.
create index asset_exif_make on asset_exif (make);
create index asset_exif_lens on asset_exif (lens_model);
create index asset_exif_country on asset_exif (country);
create index asset_exif_state on asset_exif (state);
create index asset_exif_city on asset_exif (city);
