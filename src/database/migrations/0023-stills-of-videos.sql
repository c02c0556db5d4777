-- Which stills use a video: asked wherever either is deleted, and by the foreign key for each row that goes.
create index asset_live_photo_video on asset (live_photo_video_id) where live_photo_video_id is not null;

-- The video of a still that came back alone stayed in the trash while another still of it lay there.
update asset set deleted_at = null, updated_at = now()
where deleted_at is not null and visibility = 'hidden' and exists (
  select from asset still where still.live_photo_video_id = asset.id and still.deleted_at is null);
