-- What a page of a search looks at is in the index, so that page 200 does not read 200,000 rows to leave them out.
drop index asset_taken;
create index asset_taken on asset (owner_id, file_created_at desc, id desc) include (visibility, deleted_at);
-- The photos of one camera lie together in time, far from where a search begins: 1.5 s of reading what others took.
create index asset_exif_camera on asset_exif (model, make) include (asset_id);
