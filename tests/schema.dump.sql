-- What all migrations together make of an empty database. Written by UPDATE_SCHEMA_DUMP=1 node --test
-- tests/database/schema-dump.test.ts; the same test fails while it differs.

create table activity (
  id uuid not null default gen_random_uuid(),
  album_id uuid not null,
  user_id uuid not null,
  asset_id uuid,
  comment text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint activity_album_id_asset_id_fkey FOREIGN KEY (album_id, asset_id) REFERENCES album_asset(album_id, asset_id) ON DELETE CASCADE,
  constraint activity_album_id_fkey FOREIGN KEY (album_id) REFERENCES album(id) ON DELETE CASCADE,
  constraint activity_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint activity_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint activity_pkey PRIMARY KEY (id)
);
CREATE INDEX activity_album ON public.activity USING btree (album_id, created_at);
CREATE INDEX activity_asset ON public.activity USING btree (asset_id) WHERE (asset_id IS NOT NULL);
CREATE UNIQUE INDEX activity_like ON public.activity USING btree (album_id, user_id, COALESCE(asset_id, '00000000-0000-0000-0000-000000000000'::uuid)) WHERE (comment IS NULL);
CREATE INDEX activity_user ON public.activity USING btree (user_id);

create table adoption (
  location_id text not null,
  state text not null,
  actor text not null,
  after_key text not null default ''::text,
  report jsonb not null,
  started_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  constraint adoption_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text]))),
  constraint adoption_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint adoption_pkey PRIMARY KEY (location_id)
);

create table album (
  id uuid not null default gen_random_uuid(),
  name text not null default 'Untitled Album'::text,
  description text not null default ''::text,
  thumbnail_asset_id uuid,
  is_activity_enabled boolean not null default true,
  asset_order text not null default 'desc'::text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  update_id uuid not null default sync_id(),
  constraint album_asset_order_check CHECK ((asset_order = ANY (ARRAY['asc'::text, 'desc'::text]))),
  constraint album_thumbnail_asset_id_fkey FOREIGN KEY (thumbnail_asset_id) REFERENCES asset(id) ON DELETE SET NULL,
  constraint album_pkey PRIMARY KEY (id)
);
CREATE TRIGGER catalogue_album AFTER INSERT OR DELETE ON public.album FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('album', 'id');
CREATE TRIGGER catalogue_album_change AFTER UPDATE OF name, description, asset_order, thumbnail_asset_id ON public.album FOR EACH ROW WHEN (((((old.name IS DISTINCT FROM new.name) OR (old.description IS DISTINCT FROM new.description)) OR (old.asset_order IS DISTINCT FROM new.asset_order)) OR (old.thumbnail_asset_id IS DISTINCT FROM new.thumbnail_asset_id))) EXECUTE FUNCTION note_catalogue_change('album', 'id');
CREATE TRIGGER sync_album BEFORE UPDATE ON public.album FOR EACH ROW WHEN ((((((((old.name IS DISTINCT FROM new.name) OR (old.description IS DISTINCT FROM new.description)) OR (old.thumbnail_asset_id IS DISTINCT FROM new.thumbnail_asset_id)) OR (old.is_activity_enabled IS DISTINCT FROM new.is_activity_enabled)) OR (old.asset_order IS DISTINCT FROM new.asset_order)) OR (old.created_at IS DISTINCT FROM new.created_at)) OR (old.updated_at IS DISTINCT FROM new.updated_at))) EXECUTE FUNCTION sync_stamp();

create table album_asset (
  album_id uuid not null,
  asset_id uuid not null,
  created_at timestamp with time zone not null default now(),
  update_id uuid not null default sync_id(),
  constraint album_asset_album_id_fkey FOREIGN KEY (album_id) REFERENCES album(id) ON DELETE CASCADE,
  constraint album_asset_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint album_asset_pkey PRIMARY KEY (album_id, asset_id)
);
CREATE INDEX album_asset_asset ON public.album_asset USING btree (asset_id);
CREATE INDEX album_asset_update ON public.album_asset USING btree (album_id, update_id);
CREATE TRIGGER catalogue_album_asset AFTER INSERT OR DELETE ON public.album_asset FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('asset', 'asset_id');
CREATE TRIGGER sync_album_asset_gone AFTER DELETE ON public.album_asset REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table album_user (
  album_id uuid not null,
  user_id uuid not null,
  role text not null,
  created_at timestamp with time zone not null default now(),
  create_id uuid not null default sync_id(),
  update_id uuid not null default sync_id(),
  constraint album_user_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'viewer'::text]))),
  constraint album_user_album_id_fkey FOREIGN KEY (album_id) REFERENCES album(id) ON DELETE CASCADE,
  constraint album_user_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint album_user_pkey PRIMARY KEY (album_id, user_id)
);
CREATE UNIQUE INDEX album_owner ON public.album_user USING btree (album_id) WHERE (role = 'owner'::text);
CREATE INDEX album_user_user ON public.album_user USING btree (user_id);
CREATE TRIGGER catalogue_member AFTER INSERT OR DELETE OR UPDATE ON public.album_user FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('album', 'album_id');
CREATE TRIGGER sync_album_joined AFTER INSERT ON public.album_user REFERENCING NEW TABLE AS joined FOR EACH STATEMENT EXECUTE FUNCTION sync_album_joined();
CREATE TRIGGER sync_album_user BEFORE UPDATE OF role ON public.album_user FOR EACH ROW WHEN ((old.role IS DISTINCT FROM new.role)) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_album_user_gone AFTER DELETE ON public.album_user REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table alert (
  id bigint not null generated always as identity,
  kind text not null,
  subject text not null,
  facts jsonb not null default '{}'::jsonb,
  opened_at timestamp with time zone not null default now(),
  closed_at timestamp with time zone,
  constraint alert_kind_check CHECK ((kind = ANY (ARRAY['photo-at-risk'::text, 'late-backup'::text, 'location-away'::text, 'fewer-copies'::text, 'unhealed'::text]))),
  constraint alert_pkey PRIMARY KEY (id)
);
CREATE INDEX alert_closed ON public.alert USING btree (id) WHERE (closed_at IS NOT NULL);
CREATE UNIQUE INDEX alert_open ON public.alert USING btree (kind, subject) WHERE (closed_at IS NULL);

create table api_key (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  name text not null,
  key_hash bytea not null,
  permissions text[] not null,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint api_key_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint api_key_pkey PRIMARY KEY (id),
  constraint api_key_key_hash_key UNIQUE (key_hash)
);
CREATE INDEX api_key_user ON public.api_key USING btree (user_id);
CREATE TRIGGER announce_api_key AFTER DELETE ON public.api_key FOR EACH ROW EXECUTE FUNCTION announce_credential();
CREATE TRIGGER announce_api_key_change AFTER UPDATE OF permissions, key_hash, user_id ON public.api_key FOR EACH ROW EXECUTE FUNCTION announce_credential();

create table app_user (
  id uuid not null default gen_random_uuid(),
  email text not null,
  name text not null,
  password_hash text not null,
  is_admin boolean not null default false,
  should_change_password boolean not null default false,
  avatar_color text not null default 'primary'::text,
  profile_image_object_id uuid,
  profile_changed_at timestamp with time zone not null default now(),
  storage_label text,
  quota_bytes bigint,
  preferences jsonb not null default '{}'::jsonb,
  is_onboarded boolean,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  removal_begun_at timestamp with time zone,
  update_id uuid not null default sync_id(),
  own_update_id uuid not null default sync_id(),
  preferences_update_id uuid not null default sync_id(),
  onboarding_update_id uuid not null default sync_id(),
  constraint app_user_check CHECK (((removal_begun_at IS NULL) OR (deleted_at IS NOT NULL))),
  constraint app_user_quota_bytes_check CHECK ((quota_bytes >= 0)),
  constraint app_user_profile_image_object_id_fkey FOREIGN KEY (profile_image_object_id) REFERENCES stored_object(id),
  constraint app_user_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX app_user_email ON public.app_user USING btree (lower(email));
CREATE INDEX app_user_removal ON public.app_user USING btree (id) WHERE (removal_begun_at IS NOT NULL);
CREATE TRIGGER announce_user AFTER DELETE ON public.app_user FOR EACH ROW EXECUTE FUNCTION announce_credential();
CREATE TRIGGER announce_user_change AFTER UPDATE OF deleted_at, is_admin ON public.app_user FOR EACH ROW WHEN (((new.deleted_at IS DISTINCT FROM old.deleted_at) OR (new.is_admin IS DISTINCT FROM old.is_admin))) EXECUTE FUNCTION announce_credential();
CREATE TRIGGER catalogue_user AFTER INSERT OR DELETE ON public.app_user FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('user', 'id');
CREATE TRIGGER catalogue_user_change AFTER UPDATE OF email, name, is_admin, deleted_at ON public.app_user FOR EACH ROW WHEN (((((old.email IS DISTINCT FROM new.email) OR (old.name IS DISTINCT FROM new.name)) OR (old.is_admin IS DISTINCT FROM new.is_admin)) OR ((old.deleted_at IS NULL) IS DISTINCT FROM (new.deleted_at IS NULL)))) EXECUTE FUNCTION note_catalogue_change('user', 'id');
CREATE TRIGGER guard_profile_image BEFORE INSERT OR UPDATE OF profile_image_object_id ON public.app_user FOR EACH ROW EXECUTE FUNCTION guard_reference('profile_image_object_id');
CREATE TRIGGER guard_user BEFORE DELETE OR UPDATE OF removal_begun_at, deleted_at ON public.app_user FOR EACH ROW EXECUTE FUNCTION guard_user();
CREATE TRIGGER sync_user BEFORE UPDATE ON public.app_user FOR EACH ROW EXECUTE FUNCTION sync_stamp_user();
CREATE TRIGGER sync_user_gone AFTER DELETE ON public.app_user REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table archive_download (
  id uuid not null default gen_random_uuid(),
  owner_id uuid not null,
  asset_ids uuid[] not null,
  name text not null,
  total_bytes bigint not null,
  sent_bytes bigint not null default 0,
  state text not null default 'waiting'::text,
  error text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint archive_download_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text]))),
  constraint archive_download_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint archive_download_pkey PRIMARY KEY (id)
);
CREATE INDEX archive_download_owner ON public.archive_download USING btree (owner_id, created_at DESC);

create table asset (
  id uuid not null,
  owner_id uuid not null,
  type text not null,
  checksum bytea not null,
  original_object_id uuid not null,
  original_file_name text not null,
  original_mime_type text not null,
  file_size bigint not null,
  file_created_at timestamp with time zone not null,
  file_modified_at timestamp with time zone not null,
  local_date_time timestamp without time zone not null,
  time_zone text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  is_favorite boolean not null default false,
  visibility text not null default 'timeline'::text,
  live_photo_video_id uuid,
  width integer,
  height integer,
  duration_ms bigint,
  thumbhash bytea,
  processing text not null default 'pending'::text,
  processing_error text,
  decoder_failures smallint not null default 0,
  live_photo_id text,
  is_embedded boolean not null default false,
  stack_id uuid,
  update_id uuid not null default sync_id(),
  constraint asset_checksum_check CHECK ((octet_length(checksum) = 20)),
  constraint asset_height_check CHECK ((height > 0)),
  constraint asset_processing_check CHECK ((processing = ANY (ARRAY['pending'::text, 'done'::text, 'failed'::text]))),
  constraint asset_thumbhash CHECK (((thumbhash IS NULL) OR
CASE
    WHEN (((octet_length(thumbhash) >= 6) AND (octet_length(thumbhash) <= 64)) AND ((get_byte(thumbhash, 3) & 7) > 0)) THEN (octet_length(thumbhash) >= (ARRAY[ARRAY[17, 17, 17, 19, 21, 23, 24], ARRAY[23, 23, 23, 25, 25, 28, 29]])[((get_byte(thumbhash, 2) >> 7) + 1)][(get_byte(thumbhash, 3) & 7)])
    ELSE false
END)),
  constraint asset_times CHECK ((((file_created_at >= '0001-01-02 00:00:00+00'::timestamp with time zone) AND (file_created_at <= '9999-12-30 00:00:00+00'::timestamp with time zone)) AND ((file_modified_at >= '0001-01-02 00:00:00+00'::timestamp with time zone) AND (file_modified_at <= '9999-12-30 00:00:00+00'::timestamp with time zone)) AND ((local_date_time >= '0001-01-01 00:00:00'::timestamp without time zone) AND (local_date_time <= '9999-12-31 23:59:59.999'::timestamp without time zone)))),
  constraint asset_type_check CHECK ((type = ANY (ARRAY['IMAGE'::text, 'VIDEO'::text, 'AUDIO'::text, 'OTHER'::text]))),
  constraint asset_visibility_check CHECK ((visibility = ANY (ARRAY['timeline'::text, 'archive'::text, 'hidden'::text, 'locked'::text]))),
  constraint asset_width_check CHECK ((width > 0)),
  constraint asset_live_photo_video_id_fkey FOREIGN KEY (live_photo_video_id) REFERENCES asset(id),
  constraint asset_original_object_id_fkey FOREIGN KEY (original_object_id) REFERENCES stored_object(id),
  constraint asset_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id),
  constraint asset_stack_id_fkey FOREIGN KEY (stack_id) REFERENCES stack(id) ON DELETE SET NULL,
  constraint asset_pkey PRIMARY KEY (id)
);
CREATE INDEX asset_deleted ON public.asset USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE INDEX asset_live_photo_id ON public.asset USING btree (owner_id, live_photo_id) WHERE (live_photo_id IS NOT NULL);
CREATE INDEX asset_live_photo_video ON public.asset USING btree (live_photo_video_id) WHERE (live_photo_video_id IS NOT NULL);
CREATE INDEX asset_name_parts ON public.asset USING gin (search_text(original_file_name) gin_trgm_ops) WITH (gin_pending_list_limit='512');
CREATE INDEX asset_original_object ON public.asset USING btree (original_object_id);
CREATE UNIQUE INDEX asset_owner_checksum ON public.asset USING btree (owner_id, checksum) INCLUDE (file_size);
CREATE INDEX asset_pending ON public.asset USING btree (owner_id) WHERE (processing = 'pending'::text);
CREATE INDEX asset_stack ON public.asset USING btree (stack_id) WHERE (stack_id IS NOT NULL);
CREATE INDEX asset_taken ON public.asset USING btree (owner_id, file_created_at DESC, id DESC) INCLUDE (visibility, deleted_at);
CREATE INDEX asset_timeline ON public.asset USING btree (owner_id, visibility, local_date_time DESC, id) INCLUDE (width, height) WHERE (deleted_at IS NULL);
CREATE INDEX asset_update ON public.asset USING btree (owner_id, update_id);
CREATE TRIGGER catalogue_asset AFTER INSERT OR DELETE ON public.asset FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('asset', 'id');
CREATE TRIGGER catalogue_asset_change AFTER UPDATE ON public.asset FOR EACH ROW WHEN (((((((((((((old.type IS DISTINCT FROM new.type) OR (old.checksum IS DISTINCT FROM new.checksum)) OR (old.original_object_id IS DISTINCT FROM new.original_object_id)) OR (old.original_file_name IS DISTINCT FROM new.original_file_name)) OR (old.file_created_at IS DISTINCT FROM new.file_created_at)) OR (old.file_modified_at IS DISTINCT FROM new.file_modified_at)) OR (old.local_date_time IS DISTINCT FROM new.local_date_time)) OR (old.time_zone IS DISTINCT FROM new.time_zone)) OR ((old.deleted_at IS NULL) IS DISTINCT FROM (new.deleted_at IS NULL))) OR (old.is_favorite IS DISTINCT FROM new.is_favorite)) OR (old.visibility IS DISTINCT FROM new.visibility)) OR (old.live_photo_video_id IS DISTINCT FROM new.live_photo_video_id))) EXECUTE FUNCTION note_catalogue_change('asset', 'id');
CREATE TRIGGER count_added AFTER INSERT ON public.asset REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_added_assets();
CREATE TRIGGER count_changed AFTER UPDATE OF owner_id, local_date_time, type, visibility, deleted_at, is_favorite, width, height, file_size ON public.asset FOR EACH ROW WHEN ((((((((((old.owner_id IS DISTINCT FROM new.owner_id) OR (date_trunc('month'::text, old.local_date_time) IS DISTINCT FROM date_trunc('month'::text, new.local_date_time))) OR (old.type IS DISTINCT FROM new.type)) OR (old.visibility IS DISTINCT FROM new.visibility)) OR ((old.deleted_at IS NULL) IS DISTINCT FROM (new.deleted_at IS NULL))) OR (old.is_favorite IS DISTINCT FROM new.is_favorite)) OR (old.width IS DISTINCT FROM new.width)) OR (old.height IS DISTINCT FROM new.height)) OR (old.file_size IS DISTINCT FROM new.file_size))) EXECUTE FUNCTION count_changed_asset();
CREATE TRIGGER count_removed AFTER DELETE ON public.asset REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_removed_assets();
CREATE TRIGGER guard_original BEFORE INSERT OR UPDATE OF original_object_id ON public.asset FOR EACH ROW EXECUTE FUNCTION guard_reference('original_object_id');
CREATE TRIGGER sync_asset BEFORE UPDATE ON public.asset FOR EACH ROW WHEN (((((((((((((((((old.original_file_name IS DISTINCT FROM new.original_file_name) OR (old.checksum IS DISTINCT FROM new.checksum)) OR (old.thumbhash IS DISTINCT FROM new.thumbhash)) OR (old.file_created_at IS DISTINCT FROM new.file_created_at)) OR (old.file_modified_at IS DISTINCT FROM new.file_modified_at)) OR (old.created_at IS DISTINCT FROM new.created_at)) OR (old.local_date_time IS DISTINCT FROM new.local_date_time)) OR (old.duration_ms IS DISTINCT FROM new.duration_ms)) OR (old.type IS DISTINCT FROM new.type)) OR (old.deleted_at IS DISTINCT FROM new.deleted_at)) OR (old.is_favorite IS DISTINCT FROM new.is_favorite)) OR (old.visibility IS DISTINCT FROM new.visibility)) OR (old.live_photo_video_id IS DISTINCT FROM new.live_photo_video_id)) OR (old.stack_id IS DISTINCT FROM new.stack_id)) OR (old.width IS DISTINCT FROM new.width)) OR (old.height IS DISTINCT FROM new.height))) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_asset_gone AFTER DELETE ON public.asset REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();
CREATE TRIGGER sync_unlocked AFTER UPDATE OF visibility ON public.asset FOR EACH ROW WHEN (((old.visibility = 'locked'::text) AND (new.visibility <> 'locked'::text))) EXECUTE FUNCTION sync_unlocked();

create table asset_count (
  owner_id uuid not null,
  month date not null,
  type text not null,
  visibility text not null,
  is_trashed boolean not null,
  is_favorite boolean not null,
  assets bigint not null,
  ratio numeric not null,
  bytes numeric not null,
  is_merged boolean not null default false
);
CREATE INDEX asset_count_owner ON public.asset_count USING btree (owner_id);
CREATE INDEX asset_count_unmerged ON public.asset_count USING btree (owner_id) WHERE (NOT is_merged);

create table asset_exif (
  asset_id uuid not null,
  make text,
  model text,
  lens_model text,
  exif_image_width integer,
  exif_image_height integer,
  orientation text,
  date_time_original timestamp with time zone,
  modify_date timestamp with time zone,
  time_zone text,
  latitude double precision,
  longitude double precision,
  city text,
  state text,
  country text,
  f_number double precision,
  focal_length double precision,
  iso integer,
  exposure_time text,
  fps double precision,
  description text not null default ''::text,
  rating integer,
  projection_type text,
  user_set text[] not null default '{}'::text[],
  updated_at timestamp with time zone not null default now(),
  owner_id uuid,
  update_id uuid not null default sync_id(),
  places_version integer,
  constraint asset_exif_rating_check CHECK (((rating >= '-1'::integer) AND (rating <= 5))),
  constraint asset_exif_times CHECK ((((date_time_original >= '0001-01-02 00:00:00+00'::timestamp with time zone) AND (date_time_original <= '9999-12-30 00:00:00+00'::timestamp with time zone)) AND ((modify_date >= '0001-01-02 00:00:00+00'::timestamp with time zone) AND (modify_date <= '9999-12-30 00:00:00+00'::timestamp with time zone)))),
  constraint asset_exif_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint asset_exif_pkey PRIMARY KEY (asset_id)
);
CREATE INDEX asset_exif_camera ON public.asset_exif USING btree (model, make) INCLUDE (asset_id);
CREATE INDEX asset_exif_city ON public.asset_exif USING btree (city);
CREATE INDEX asset_exif_country ON public.asset_exif USING btree (country);
CREATE INDEX asset_exif_lens ON public.asset_exif USING btree (lens_model);
CREATE INDEX asset_exif_make ON public.asset_exif USING btree (make);
CREATE INDEX asset_exif_state ON public.asset_exif USING btree (state);
CREATE INDEX asset_exif_update ON public.asset_exif USING btree (owner_id, update_id);
CREATE INDEX asset_exif_without_place ON public.asset_exif USING btree (asset_id) WHERE ((places_version IS NULL) AND (latitude IS NOT NULL) AND (longitude IS NOT NULL));
CREATE TRIGGER catalogue_said AFTER INSERT OR UPDATE ON public.asset_exif FOR EACH ROW WHEN ((cardinality(new.user_set) > 0)) EXECUTE FUNCTION note_catalogue_change('asset', 'asset_id');
CREATE TRIGGER sync_asset_exif BEFORE UPDATE ON public.asset_exif FOR EACH ROW WHEN (((((((((((((((((((((((old.make IS DISTINCT FROM new.make) OR (old.model IS DISTINCT FROM new.model)) OR (old.lens_model IS DISTINCT FROM new.lens_model)) OR (old.exif_image_width IS DISTINCT FROM new.exif_image_width)) OR (old.exif_image_height IS DISTINCT FROM new.exif_image_height)) OR (old.orientation IS DISTINCT FROM new.orientation)) OR (old.date_time_original IS DISTINCT FROM new.date_time_original)) OR (old.modify_date IS DISTINCT FROM new.modify_date)) OR (old.time_zone IS DISTINCT FROM new.time_zone)) OR (old.latitude IS DISTINCT FROM new.latitude)) OR (old.longitude IS DISTINCT FROM new.longitude)) OR (old.city IS DISTINCT FROM new.city)) OR (old.state IS DISTINCT FROM new.state)) OR (old.country IS DISTINCT FROM new.country)) OR (old.f_number IS DISTINCT FROM new.f_number)) OR (old.focal_length IS DISTINCT FROM new.focal_length)) OR (old.iso IS DISTINCT FROM new.iso)) OR (old.exposure_time IS DISTINCT FROM new.exposure_time)) OR (old.fps IS DISTINCT FROM new.fps)) OR (old.description IS DISTINCT FROM new.description)) OR (old.rating IS DISTINCT FROM new.rating)) OR (old.projection_type IS DISTINCT FROM new.projection_type))) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_asset_exif_owner BEFORE INSERT ON public.asset_exif FOR EACH ROW EXECUTE FUNCTION sync_exif_owner();

create table asset_file (
  asset_id uuid not null,
  kind text not null,
  object_id uuid not null,
  width integer,
  height integer,
  constraint asset_file_kind_check CHECK ((kind = ANY (ARRAY['sidecar'::text, 'thumbnail'::text, 'preview'::text, 'fullsize'::text, 'encoded-video'::text]))),
  constraint asset_file_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint asset_file_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id),
  constraint asset_file_pkey PRIMARY KEY (asset_id, kind)
);
CREATE INDEX asset_file_object ON public.asset_file USING btree (object_id);
CREATE TRIGGER catalogue_sidecar AFTER INSERT OR UPDATE OF object_id ON public.asset_file FOR EACH ROW WHEN ((new.kind = 'sidecar'::text)) EXECUTE FUNCTION note_catalogue_change('asset', 'asset_id');
CREATE TRIGGER catalogue_sidecar_gone AFTER DELETE ON public.asset_file FOR EACH ROW WHEN ((old.kind = 'sidecar'::text)) EXECUTE FUNCTION note_catalogue_change('asset', 'asset_id');
CREATE TRIGGER guard_file BEFORE INSERT OR UPDATE OF object_id ON public.asset_file FOR EACH ROW EXECUTE FUNCTION guard_reference('object_id');

create table asset_metadata (
  asset_id uuid not null,
  key text not null,
  value jsonb not null,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  owner_id uuid,
  update_id uuid not null default sync_id(),
  constraint asset_metadata_value_check CHECK ((jsonb_typeof(value) = 'object'::text)),
  constraint asset_metadata_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint asset_metadata_pkey PRIMARY KEY (asset_id, key)
);
CREATE INDEX asset_metadata_update ON public.asset_metadata USING btree (owner_id, update_id);
CREATE TRIGGER sync_asset_metadata BEFORE UPDATE ON public.asset_metadata FOR EACH ROW WHEN (((old.value IS DISTINCT FROM new.value) OR (old.updated_at IS DISTINCT FROM new.updated_at))) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_asset_metadata_gone AFTER DELETE ON public.asset_metadata REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();
CREATE TRIGGER sync_asset_metadata_owner BEFORE INSERT ON public.asset_metadata FOR EACH ROW EXECUTE FUNCTION sync_exif_owner();

create table asset_reading (
  asset_id uuid not null,
  reader_version integer not null,
  details jsonb not null default '{}'::jsonb,
  read_at timestamp with time zone not null default now(),
  constraint asset_reading_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint asset_reading_pkey PRIMARY KEY (asset_id)
);
CREATE INDEX asset_reading_version ON public.asset_reading USING btree (reader_version, asset_id);

create table browser_probe (
  id uuid not null,
  location_id text not null,
  key text not null,
  origin text not null,
  expires_at timestamp with time zone not null,
  finished_at timestamp with time zone,
  constraint browser_probe_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint browser_probe_pkey PRIMARY KEY (id)
);
CREATE INDEX browser_probe_location ON public.browser_probe USING btree (location_id);

create table campaign (
  id uuid not null,
  created_at timestamp with time zone not null default now(),
  actor text not null,
  reason text not null,
  reverse_of uuid,
  kinds text[] not null,
  owner_ids uuid[],
  album_ids uuid[],
  older_than_days integer,
  younger_than_days integer,
  from_ids text[] not null,
  to_ids text[] not null,
  bytes_per_second bigint,
  from_minute integer,
  until_minute integer,
  workers integer not null default 2,
  hold_hours integer not null default 168,
  phase text not null default 'proposed'::text,
  phase_since timestamp with time zone not null default now(),
  paused_at timestamp with time zone,
  paused_why text,
  scanned_to uuid,
  is_scanned boolean not null default false,
  checked_to uuid,
  is_sampled boolean not null default false,
  sample_bytes bigint not null default 0,
  sample_ms bigint not null default 0,
  hold_until timestamp with time zone,
  failures_in_a_row integer not null default 0,
  is_withdrawn boolean not null default false,
  constraint campaign_bytes_per_second_check CHECK ((bytes_per_second > 0)),
  constraint campaign_check CHECK (((cardinality(to_ids) > 0) AND (NOT (from_ids && to_ids)))),
  constraint campaign_check1 CHECK (((from_minute IS NULL) = (until_minute IS NULL))),
  constraint campaign_check2 CHECK (((from_minute IS DISTINCT FROM until_minute) OR (from_minute IS NULL))),
  constraint campaign_from_minute_check CHECK (((from_minute >= 0) AND (from_minute <= 1439))),
  constraint campaign_hold_hours_check CHECK ((hold_hours >= 0)),
  constraint campaign_kinds_check CHECK ((cardinality(kinds) > 0)),
  constraint campaign_older_than_days_check CHECK ((older_than_days >= 0)),
  constraint campaign_phase_check CHECK ((phase = ANY (ARRAY['proposed'::text, 'checking'::text, 'checked'::text, 'rehearsing'::text, 'rehearsed'::text, 'copying'::text, 'holding'::text, 'reclaiming'::text, 'rolling-back'::text, 'done'::text, 'rolled-back'::text, 'cancelled'::text]))),
  constraint campaign_reason_check CHECK ((reason = ANY (ARRAY['asked'::text, 'configuration'::text, 'rollback'::text]))),
  constraint campaign_until_minute_check CHECK (((until_minute >= 0) AND (until_minute <= 1439))),
  constraint campaign_workers_check CHECK (((workers >= 1) AND (workers <= 4))),
  constraint campaign_younger_than_days_check CHECK ((younger_than_days > 0)),
  constraint campaign_reverse_of_fkey FOREIGN KEY (reverse_of) REFERENCES campaign(id) ON DELETE SET NULL,
  constraint campaign_pkey PRIMARY KEY (id)
);
CREATE INDEX campaign_reverse_of ON public.campaign USING btree (reverse_of);

create table campaign_object (
  campaign_id uuid not null,
  object_id uuid not null,
  kind text not null,
  size bigint not null,
  state text not null default 'pending'::text,
  cause text,
  error text,
  attempts integer not null default 0,
  not_before timestamp with time zone,
  claim uuid,
  lease_expires_at timestamp with time zone,
  is_sample boolean not null default false,
  rehearsed_at timestamp with time zone,
  made_ids text[] not null default '{}'::text[],
  is_assigned boolean not null default false,
  before_ids text[],
  before_at timestamp with time zone,
  belonged_at text[] not null default '{}'::text[],
  constraint campaign_object_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'unfit'::text, 'moving'::text, 'failed'::text, 'held'::text, 'reclaiming'::text, 'reclaimed'::text, 'returning'::text, 'returned'::text, 'kept'::text, 'gone'::text]))),
  constraint campaign_object_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaign(id) ON DELETE CASCADE,
  constraint campaign_object_pkey PRIMARY KEY (campaign_id, object_id)
);
CREATE UNIQUE INDEX campaign_object_open ON public.campaign_object USING btree (object_id) WHERE (state = ANY (ARRAY['moving'::text, 'held'::text, 'reclaiming'::text, 'returning'::text, 'kept'::text]));
CREATE INDEX campaign_object_state ON public.campaign_object USING btree (campaign_id, state, object_id) INCLUDE (size, cause);
CREATE TRIGGER guard_campaign_object BEFORE UPDATE OF state ON public.campaign_object FOR EACH ROW EXECUTE FUNCTION guard_campaign_object();

create table catalogue_batch (
  object_id uuid not null,
  number bigint not null generated always as identity,
  is_snapshot boolean not null,
  entries bigint not null,
  made_at timestamp with time zone not null default now(),
  constraint catalogue_batch_entries_check CHECK ((entries >= 0)),
  constraint catalogue_batch_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id) ON DELETE CASCADE,
  constraint catalogue_batch_pkey PRIMARY KEY (object_id),
  constraint catalogue_batch_number_key UNIQUE (number)
);

create table catalogue_change (
  id bigint not null generated always as identity,
  subject text not null,
  subject_id uuid not null,
  owner_id uuid,
  month date,
  at timestamp with time zone not null default now(),
  constraint catalogue_change_subject_check CHECK ((subject = ANY (ARRAY['user'::text, 'asset'::text, 'album'::text]))),
  constraint catalogue_change_pkey PRIMARY KEY (id)
);

create table catalogue_found (
  kind text not null,
  id uuid not null,
  batch text not null,
  is_known boolean not null,
  is_gone boolean not null,
  entry jsonb not null,
  is_there_already boolean not null default false,
  constraint catalogue_found_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'asset'::text, 'album'::text]))),
  constraint catalogue_found_pkey PRIMARY KEY (kind, id)
);
CREATE INDEX catalogue_found_keys ON public.catalogue_found USING gin ((((entry -> 'original'::text) -> 'keys'::text)) jsonb_path_ops) WHERE ((kind = 'asset'::text) AND (NOT is_gone));

create table catalogue_left_over (
  kind text not null,
  id uuid not null,
  is_there boolean not null,
  entry jsonb not null,
  constraint catalogue_left_over_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'asset'::text, 'album'::text]))),
  constraint catalogue_left_over_pkey PRIMARY KEY (kind, id)
);

create table catalogue_state (
  is_only boolean not null default true,
  heads text[] not null default '{}'::text[],
  is_snapshot_due boolean not null default true,
  adoption jsonb,
  drill jsonb,
  reading uuid,
  followed text[] not null default '{}'::text[],
  unread text[] not null default '{}'::text[],
  constraint catalogue_state_is_only_check CHECK (is_only),
  constraint catalogue_state_pkey PRIMARY KEY (is_only)
);

create table catalogue_text (
  owner_id uuid not null,
  month date not null,
  object_id uuid,
  former_object_id uuid,
  dirty_since timestamp with time zone,
  written_at timestamp with time zone,
  constraint catalogue_text_month_check CHECK ((EXTRACT(day FROM month) = (1)::numeric)),
  constraint catalogue_text_former_object_id_fkey FOREIGN KEY (former_object_id) REFERENCES stored_object(id) ON DELETE SET NULL,
  constraint catalogue_text_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id) ON DELETE SET NULL,
  constraint catalogue_text_pkey PRIMARY KEY (owner_id, month)
);
CREATE INDEX catalogue_text_dirty ON public.catalogue_text USING btree (dirty_since) WHERE (dirty_since IS NOT NULL);

create table class_change (
  object_id uuid not null,
  location_id text not null,
  from_key text not null,
  to_key text not null,
  to_class text not null,
  doomed_key text,
  lease_expires_at timestamp with time zone not null,
  clear_after timestamp with time zone,
  actor text not null,
  created_at timestamp with time zone not null default now(),
  constraint class_change_check CHECK (((doomed_key = from_key) OR (doomed_key = to_key))),
  constraint class_change_check1 CHECK ((from_key <> to_key)),
  constraint class_change_check2 CHECK (((doomed_key IS NULL) = (clear_after IS NULL))),
  constraint class_change_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id),
  constraint class_change_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id),
  constraint class_change_pkey PRIMARY KEY (object_id, location_id),
  constraint class_change_location_id_to_key_key UNIQUE (location_id, to_key)
);
CREATE INDEX class_change_due ON public.class_change USING btree (COALESCE(clear_after, lease_expires_at));
CREATE TRIGGER guard_class_change BEFORE INSERT OR UPDATE ON public.class_change FOR EACH ROW EXECUTE FUNCTION guard_class_change();

create table class_refusal (
  object_id uuid not null,
  location_id text not null,
  to_class text not null,
  reason text not null,
  refused_until timestamp with time zone not null,
  constraint class_refusal_object_id_location_id_fkey FOREIGN KEY (object_id, location_id) REFERENCES replica(object_id, location_id) ON DELETE CASCADE,
  constraint class_refusal_pkey PRIMARY KEY (object_id, location_id)
);

create table class_sweep (
  is_only boolean not null default true,
  after_object uuid not null,
  after_location text not null,
  constraint class_sweep_is_only_check CHECK (is_only),
  constraint class_sweep_pkey PRIMARY KEY (is_only)
);

create table clock_gap (
  from_at timestamp with time zone not null,
  until_at timestamp with time zone not null,
  noticed_at timestamp with time zone not null default now(),
  constraint clock_gap_check CHECK ((from_at < until_at)),
  constraint clock_gap_pkey PRIMARY KEY (from_at)
);

create table clock_seen (
  only_row boolean not null default true,
  seen_at timestamp with time zone not null,
  constraint clock_seen_only_row_check CHECK (only_row),
  constraint clock_seen_pkey PRIMARY KEY (only_row)
);

create table collection (
  id uuid not null,
  location_id text not null,
  actor text not null,
  plan_id text not null,
  files bigint not null,
  uploads bigint not null,
  bytes bigint not null,
  decided_at timestamp with time zone not null,
  collect_after timestamp with time zone not null,
  undone_at timestamp with time zone,
  undone_by text,
  finished_at timestamp with time zone,
  error text,
  constraint collection_bytes_check CHECK ((bytes >= 0)),
  constraint collection_check CHECK (((undone_at IS NULL) = (undone_by IS NULL))),
  constraint collection_files_check CHECK ((files >= 0)),
  constraint collection_uploads_check CHECK ((uploads >= 0)),
  constraint collection_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint collection_pkey PRIMARY KEY (id)
);

create table collection_item (
  collection_id uuid not null,
  location_id text not null,
  key text not null,
  upload_id text not null default ''::text,
  kind text not null,
  size bigint not null,
  etag text,
  last_modified timestamp with time zone not null,
  sha256 bytea,
  state text not null default 'held'::text,
  reason text,
  not_before timestamp with time zone,
  lease_expires_at timestamp with time zone,
  claimed_at timestamp with time zone,
  constraint collection_item_state_check CHECK ((state = ANY (ARRAY['held'::text, 'removing'::text, 'removed'::text, 'kept'::text, 'undone'::text]))),
  constraint collection_item_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES collection(id) ON DELETE CASCADE,
  constraint collection_item_pkey PRIMARY KEY (collection_id, key, upload_id)
);
CREATE INDEX collection_item_claimed ON public.collection_item USING btree (location_id, key) WHERE (claimed_at IS NOT NULL);
CREATE UNIQUE INDEX collection_item_open ON public.collection_item USING btree (location_id, key, upload_id) WHERE (state = ANY (ARRAY['held'::text, 'removing'::text]));

create table database_backup (
  object_id uuid not null,
  number bigint not null generated always as identity,
  taken_at timestamp with time zone not null,
  migration text not null,
  row_count bigint not null,
  is_of_another_line boolean not null default false,
  constraint database_backup_row_count_check CHECK ((row_count >= 0)),
  constraint database_backup_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id) ON DELETE CASCADE,
  constraint database_backup_pkey PRIMARY KEY (object_id),
  constraint database_backup_number_key UNIQUE (number)
);

create table direct_upload (
  id uuid not null,
  owner_id uuid not null,
  object_id uuid not null,
  asset_id uuid not null,
  state text not null default 'open'::text,
  reason text,
  size bigint not null,
  sha256 bytea not null,
  sha1 bytea not null,
  md5 bytea,
  part_bytes bigint,
  file_name text not null,
  file_created_at timestamp with time zone not null,
  file_modified_at timestamp with time zone not null,
  is_favorite boolean not null,
  visibility text not null,
  duration_ms bigint,
  live_photo_video_id uuid,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone not null default now(),
  ended_at timestamp with time zone,
  constraint direct_upload_check CHECK (((md5 IS NULL) <> (part_bytes IS NULL))),
  constraint direct_upload_check1 CHECK (((ended_at IS NULL) = (state = ANY (ARRAY['open'::text, 'received'::text])))),
  constraint direct_upload_md5_check CHECK ((octet_length(md5) = 16)),
  constraint direct_upload_part_bytes_check CHECK ((part_bytes > 0)),
  constraint direct_upload_sha1_check CHECK ((octet_length(sha1) = 20)),
  constraint direct_upload_sha256_check CHECK ((octet_length(sha256) = 32)),
  constraint direct_upload_size_check CHECK ((size > 0)),
  constraint direct_upload_state_check CHECK ((state = ANY (ARRAY['open'::text, 'received'::text, 'done'::text, 'duplicate'::text, 'failed'::text, 'abandoned'::text]))),
  constraint direct_upload_visibility_check CHECK ((visibility = ANY (ARRAY['timeline'::text, 'archive'::text, 'hidden'::text, 'locked'::text]))),
  constraint direct_upload_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id),
  constraint direct_upload_pkey PRIMARY KEY (id)
);
CREATE INDEX direct_upload_ended ON public.direct_upload USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX direct_upload_owner ON public.direct_upload USING btree (owner_id, created_at DESC);
CREATE UNIQUE INDEX direct_upload_underway ON public.direct_upload USING btree (owner_id, sha256) INCLUDE (size) WHERE (state = ANY (ARRAY['open'::text, 'received'::text]));
CREATE INDEX direct_upload_unfinished ON public.direct_upload USING btree (expires_at) WHERE (state = ANY (ARRAY['open'::text, 'received'::text]));

create table drill (
  location_id text not null,
  started_at timestamp with time zone not null default now(),
  ends_at timestamp with time zone not null,
  actor text not null,
  constraint drill_check CHECK ((ends_at <= (started_at + '01:01:00'::interval))),
  constraint drill_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint drill_pkey PRIMARY KEY (location_id)
);

create table home (
  kind text not null,
  location_ids jsonb not null,
  since timestamp with time zone not null default now(),
  min_copies integer not null default 1,
  configured_ids jsonb,
  configured_since timestamp with time zone,
  held_ids jsonb,
  held_before timestamp with time zone,
  constraint home_held CHECK (((held_ids IS NULL) = (held_before IS NULL))),
  constraint home_min_copies_check CHECK ((min_copies >= 1)),
  constraint home_pkey PRIMARY KEY (kind)
);

create table installation (
  is_only boolean not null default true,
  id uuid not null default gen_random_uuid(),
  created_at timestamp with time zone not null default now(),
  recipient text,
  key_confirmed_at timestamp with time zone,
  restored_from timestamp with time zone,
  restored_number bigint,
  constraint installation_check CHECK (((key_confirmed_at IS NULL) OR (recipient IS NOT NULL))),
  constraint installation_is_only_check CHECK (is_only),
  constraint installation_pkey PRIMARY KEY (is_only)
);

create table job_failure (
  id bigint not null generated always as identity,
  job text not null,
  queue text not null,
  payload jsonb not null,
  attempt integer not null,
  error text not null,
  is_final boolean not null,
  at timestamp with time zone not null default clock_timestamp(),
  key text,
  code text not null default 'unexpected'::text,
  solved_at timestamp with time zone,
  constraint job_failure_pkey PRIMARY KEY (id)
);
CREATE INDEX job_failure_at ON public.job_failure USING btree (queue, at);
CREATE INDEX job_failure_open ON public.job_failure USING btree (key) WHERE (solved_at IS NULL);

create table job_schedule (
  job text not null,
  next_at timestamp with time zone not null,
  constraint job_schedule_pkey PRIMARY KEY (job)
);

create table key_to_clear (
  location_id text not null,
  key text not null,
  writable_until timestamp with time zone not null,
  clear_at timestamp with time zone not null,
  object_id uuid,
  removal text,
  failures integer not null default 0,
  retry_at timestamp with time zone,
  duplicate_owner_id uuid,
  duplicate_kind text,
  duplicate_size bigint,
  duplicate_sha256 bytea,
  constraint key_to_clear_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id),
  constraint key_to_clear_pkey PRIMARY KEY (location_id, key)
);
CREATE INDEX key_to_clear_due ON public.key_to_clear USING btree (clear_at);

create table local_lease (
  id uuid not null,
  object_id uuid not null,
  purpose text not null,
  expires_at timestamp with time zone not null,
  constraint local_lease_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id) ON DELETE CASCADE,
  constraint local_lease_pkey PRIMARY KEY (id)
);
CREATE INDEX local_lease_object ON public.local_lease USING btree (object_id);

create table location (
  id text not null,
  kind text not null,
  identity text not null,
  marker uuid,
  created_at timestamp with time zone not null default now(),
  probed_at timestamp with time zone,
  probe jsonb,
  is_healthy boolean,
  health_error text,
  health_changed_at timestamp with time zone,
  last_success_at timestamp with time zone,
  away_since timestamp with time zone,
  origin jsonb,
  next_marker uuid,
  drain_begun_at timestamp with time zone,
  drain_files bigint,
  drain_bytes bigint,
  retired_at timestamp with time zone,
  constraint location_drain CHECK ((((drain_begun_at IS NULL) = (drain_files IS NULL)) AND ((drain_begun_at IS NULL) = (drain_bytes IS NULL)))),
  constraint location_kind_check CHECK ((kind = ANY (ARRAY['disk'::text, 's3'::text, 'memory'::text]))),
  constraint location_retired CHECK (((retired_at IS NULL) OR (drain_begun_at IS NOT NULL))),
  constraint location_pkey PRIMARY KEY (id)
);

create table location_counter (
  location_id text not null,
  value bigint not null,
  token uuid,
  next_token uuid,
  next_holder text,
  version text,
  advanced_at timestamp with time zone not null default now(),
  holder text not null,
  conflict text,
  conflict_since timestamp with time zone,
  seen_value bigint,
  seen_token uuid,
  is_advance_due boolean not null default false,
  constraint location_counter_check CHECK (((conflict IS NULL) = (conflict_since IS NULL))),
  constraint location_counter_check1 CHECK (((value = 0) = (token IS NULL))),
  constraint location_counter_conflict_check CHECK ((conflict = ANY (ARRAY['another-ledger'::text, 'older-place'::text]))),
  constraint location_counter_value_check CHECK ((value >= 0)),
  constraint location_counter_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint location_counter_pkey PRIMARY KEY (location_id)
);
CREATE TRIGGER sync_restart AFTER UPDATE OF conflict ON public.location_counter FOR EACH ROW WHEN (((new.conflict = 'another-ledger'::text) AND (old.conflict IS DISTINCT FROM new.conflict))) EXECUTE FUNCTION sync_restart();

create table location_listing (
  id bigint not null generated always as identity,
  location_id text not null,
  begun_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  after_key text not null default ''::text,
  holder uuid,
  lease_expires_at timestamp with time zone,
  listed_count bigint not null default 0,
  listed_bytes bigint not null default 0,
  unknown_count bigint not null default 0,
  unknown_bytes bigint not null default 0,
  missing_count bigint not null default 0,
  different_count bigint not null default 0,
  error text,
  expected_count bigint not null default 0,
  found_count bigint not null default 0,
  foreign_count bigint not null default 0,
  foreign_bytes bigint not null default 0,
  uploads_error text,
  is_sound boolean not null default true,
  constraint location_listing_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint location_listing_pkey PRIMARY KEY (id)
);
CREATE INDEX location_listing_finished ON public.location_listing USING btree (location_id, finished_at DESC) WHERE (finished_at IS NOT NULL);
CREATE UNIQUE INDEX location_listing_underway ON public.location_listing USING btree (location_id) WHERE (finished_at IS NULL);

create table location_scrub (
  id bigint not null generated always as identity,
  location_id text not null,
  begun_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  after_object_id uuid not null default '00000000-0000-0000-0000-000000000000'::uuid,
  holder uuid,
  lease_expires_at timestamp with time zone,
  read_count bigint not null default 0,
  read_bytes bigint not null default 0,
  wrong_count bigint not null default 0,
  unread_count bigint not null default 0,
  error text,
  constraint location_scrub_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint location_scrub_pkey PRIMARY KEY (id)
);
CREATE INDEX location_scrub_finished ON public.location_scrub USING btree (location_id, finished_at DESC) WHERE (finished_at IS NOT NULL);
CREATE UNIQUE INDEX location_scrub_underway ON public.location_scrub USING btree (location_id) WHERE (finished_at IS NULL);

create table memory (
  id uuid not null default gen_random_uuid(),
  owner_id uuid not null,
  type text not null default 'on_this_day'::text,
  data jsonb not null,
  is_saved boolean not null default false,
  memory_at timestamp with time zone not null,
  made_for date,
  show_at timestamp with time zone,
  hide_at timestamp with time zone,
  seen_at timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  update_id uuid not null default sync_id(),
  constraint memory_type_check CHECK ((type = 'on_this_day'::text)),
  constraint memory_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint memory_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX memory_made_for ON public.memory USING btree (owner_id, made_for, memory_at) WHERE (made_for IS NOT NULL);
CREATE INDEX memory_owner ON public.memory USING btree (owner_id, memory_at);
CREATE TRIGGER sync_memory BEFORE UPDATE ON public.memory FOR EACH ROW WHEN (((((((((((old.type IS DISTINCT FROM new.type) OR (old.data IS DISTINCT FROM new.data)) OR (old.is_saved IS DISTINCT FROM new.is_saved)) OR (old.memory_at IS DISTINCT FROM new.memory_at)) OR (old.show_at IS DISTINCT FROM new.show_at)) OR (old.hide_at IS DISTINCT FROM new.hide_at)) OR (old.seen_at IS DISTINCT FROM new.seen_at)) OR (old.created_at IS DISTINCT FROM new.created_at)) OR (old.updated_at IS DISTINCT FROM new.updated_at)) OR (old.deleted_at IS DISTINCT FROM new.deleted_at))) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_memory_gone AFTER DELETE ON public.memory REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table memory_asset (
  memory_id uuid not null,
  asset_id uuid not null,
  created_at timestamp with time zone not null default now(),
  update_id uuid not null default sync_id(),
  constraint memory_asset_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint memory_asset_memory_id_fkey FOREIGN KEY (memory_id) REFERENCES memory(id) ON DELETE CASCADE,
  constraint memory_asset_pkey PRIMARY KEY (memory_id, asset_id)
);
CREATE INDEX memory_asset_asset ON public.memory_asset USING btree (asset_id);
CREATE TRIGGER sync_memory_asset_gone AFTER DELETE ON public.memory_asset REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table memory_progress (
  owner_id uuid not null,
  made_until date not null,
  constraint memory_progress_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint memory_progress_pkey PRIMARY KEY (owner_id)
);

create table notification (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  level text not null,
  title text not null,
  description text not null,
  data jsonb not null,
  created_at timestamp with time zone not null default now(),
  read_at timestamp with time zone,
  constraint notification_level_check CHECK ((level = ANY (ARRAY['success'::text, 'error'::text, 'warning'::text, 'info'::text]))),
  constraint notification_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint notification_pkey PRIMARY KEY (id)
);
CREATE INDEX notification_user ON public.notification USING btree (user_id, created_at DESC);

create table notification_delivery (
  id uuid not null default gen_random_uuid(),
  channel text not null,
  recipient text not null,
  message jsonb not null,
  created_at timestamp with time zone not null default now(),
  constraint notification_delivery_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'webhook'::text]))),
  constraint notification_delivery_pkey PRIMARY KEY (id)
);

create table object_lock (
  location_id text not null,
  key text not null,
  retained_until timestamp with time zone,
  is_on_hold boolean not null default false,
  version_id text,
  retry_at timestamp with time zone,
  constraint object_lock_pkey PRIMARY KEY (location_id, key)
);
CREATE INDEX object_lock_ends ON public.object_lock USING btree (location_id, retained_until);

create table outage (
  id bigint not null generated always as identity,
  location_id text not null,
  began_at timestamp with time zone not null default now(),
  ended_at timestamp with time zone,
  cause text not null,
  is_drill boolean not null default false,
  waited integer not null default 0,
  constraint outage_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint outage_pkey PRIMARY KEY (id)
);
CREATE INDEX outage_began ON public.outage USING btree (began_at);
CREATE UNIQUE INDEX outage_lasting ON public.outage USING btree (location_id) WHERE (ended_at IS NULL);

create table partner (
  shared_by_id uuid not null,
  shared_with_id uuid not null,
  in_timeline boolean not null default false,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  create_id uuid not null default sync_id(),
  update_id uuid not null default sync_id(),
  constraint partner_check CHECK ((shared_by_id <> shared_with_id)),
  constraint partner_shared_by_id_fkey FOREIGN KEY (shared_by_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint partner_shared_with_id_fkey FOREIGN KEY (shared_with_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint partner_pkey PRIMARY KEY (shared_by_id, shared_with_id)
);
CREATE INDEX partner_shared_with ON public.partner USING btree (shared_with_id);
CREATE TRIGGER sync_partner BEFORE UPDATE ON public.partner FOR EACH ROW WHEN (((old.in_timeline IS DISTINCT FROM new.in_timeline) OR (old.updated_at IS DISTINCT FROM new.updated_at))) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_partner_gone AFTER DELETE ON public.partner REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table paused_queue (
  queue text not null,
  paused_at timestamp with time zone not null default now(),
  paused_by text,
  constraint paused_queue_pkey PRIMARY KEY (queue)
);

create table placement_event (
  id bigint not null generated always as identity,
  object_id uuid not null,
  location_id text not null,
  key text not null,
  from_state text,
  to_state text,
  proof_level smallint,
  proof jsonb,
  actor text not null,
  at timestamp with time zone not null default clock_timestamp(),
  constraint placement_event_pkey PRIMARY KEY (id)
);
CREATE INDEX placement_event_object ON public.placement_event USING btree (object_id, id);
CREATE TRIGGER placement_event_append_only BEFORE DELETE OR UPDATE ON public.placement_event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER placement_event_no_truncate BEFORE TRUNCATE ON public.placement_event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table probe_change (
  id bigint not null generated always as identity,
  location_id text not null,
  trait text not null,
  before boolean not null,
  after boolean not null,
  is_weaker boolean not null,
  found_at timestamp with time zone not null,
  settled_at timestamp with time zone,
  settled_by text,
  constraint probe_change_check CHECK (((settled_at IS NULL) = (settled_by IS NULL))),
  constraint probe_change_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint probe_change_pkey PRIMARY KEY (id)
);
CREATE INDEX probe_change_location ON public.probe_change USING btree (location_id, id);

create table reading_day (
  day date not null,
  bucket_bytes bigint not null default 0,
  archive_bytes bigint not null default 0,
  constraint reading_day_archive_bytes_check CHECK ((archive_bytes >= 0)),
  constraint reading_day_bucket_bytes_check CHECK ((bucket_bytes >= 0)),
  constraint reading_day_pkey PRIMARY KEY (day)
);

create table reading_sweep (
  is_only boolean not null default true,
  after_version integer not null,
  after_asset uuid not null,
  constraint reading_sweep_is_only_check CHECK (is_only),
  constraint reading_sweep_pkey PRIMARY KEY (is_only)
);

create table replica (
  object_id uuid not null,
  location_id text not null,
  key text not null,
  state text not null,
  proof_level smallint,
  proof jsonb,
  verified_at timestamp with time zone,
  lease_expires_at timestamp with time zone,
  actor text not null,
  created_at timestamp with time zone not null default now(),
  upload_id text,
  writable_until timestamp with time zone,
  storage_class text,
  class_since timestamp with time zone not null default now(),
  removal text,
  is_adopted boolean not null default false,
  constraint replica_check CHECK (((state <> 'verified'::text) OR ((verified_at IS NOT NULL) AND (proof_level IS NOT NULL)))),
  constraint replica_check1 CHECK (((state <> 'writing'::text) OR (lease_expires_at IS NOT NULL))),
  constraint replica_proof_level_check CHECK (((proof_level >= 0) AND (proof_level <= 4))),
  constraint replica_removal_check CHECK ((removal = ANY (ARRAY['wrong-bytes'::text, 'other-copy'::text, 'decided'::text, 'nothing-there'::text]))),
  constraint replica_state_check CHECK ((state = ANY (ARRAY['writing'::text, 'verified'::text, 'suspect'::text, 'evicting'::text]))),
  constraint replica_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id),
  constraint replica_object_id_fkey FOREIGN KEY (object_id) REFERENCES stored_object(id),
  constraint replica_pkey PRIMARY KEY (object_id, location_id)
);
CREATE INDEX replica_evicting ON public.replica USING btree (object_id) WHERE (state = ANY (ARRAY['evicting'::text, 'suspect'::text]));
CREATE INDEX replica_location ON public.replica USING btree (location_id, state);
CREATE UNIQUE INDEX replica_location_key ON public.replica USING btree (location_id, key COLLATE "C");
CREATE INDEX replica_storage_class ON public.replica USING btree (location_id, storage_class) WHERE (storage_class IS NOT NULL);
CREATE INDEX replica_unsettled ON public.replica USING btree (lease_expires_at) WHERE (state = 'writing'::text);
CREATE TRIGGER catalogue_place AFTER INSERT OR DELETE OR UPDATE OF state, key ON public.replica FOR EACH ROW EXECUTE FUNCTION note_catalogue_place();
CREATE TRIGGER guard_replica BEFORE INSERT OR DELETE OR UPDATE ON public.replica FOR EACH ROW EXECUTE FUNCTION guard_replica();
CREATE TRIGGER guard_retired BEFORE INSERT ON public.replica FOR EACH ROW EXECUTE FUNCTION guard_retired();
CREATE TRIGGER keep_collected BEFORE INSERT OR UPDATE OF key ON public.replica FOR EACH ROW EXECUTE FUNCTION keep_collected_key();
CREATE TRIGGER note_writable_key_changed BEFORE UPDATE OF key ON public.replica FOR EACH ROW WHEN ((new.key IS DISTINCT FROM old.key)) EXECUTE FUNCTION note_writable_key();
CREATE TRIGGER note_writable_key_gone BEFORE DELETE ON public.replica FOR EACH ROW EXECUTE FUNCTION note_writable_key();
CREATE TRIGGER replica_no_truncate BEFORE TRUNCATE ON public.replica FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table replica_restore (
  object_id uuid not null,
  location_id text not null,
  tier text not null,
  days integer not null,
  requested_at timestamp with time zone not null,
  requested_by uuid,
  expected_at timestamp with time zone not null,
  accepted_at timestamp with time zone,
  available_until timestamp with time zone,
  check_at timestamp with time zone not null,
  constraint replica_restore_days_check CHECK (((days >= 1) AND (days <= 365))),
  constraint replica_restore_tier_check CHECK ((tier = ANY (ARRAY['expedited'::text, 'standard'::text, 'bulk'::text]))),
  constraint replica_restore_object_id_location_id_fkey FOREIGN KEY (object_id, location_id) REFERENCES replica(object_id, location_id) ON DELETE CASCADE,
  constraint replica_restore_pkey PRIMARY KEY (object_id, location_id)
);
CREATE INDEX replica_restore_check ON public.replica_restore USING btree (check_at);

create table schema_migration (
  name text not null,
  sha256 text not null,
  applied_at timestamp with time zone not null default now(),
  constraint schema_migration_pkey PRIMARY KEY (name)
);

create table scrub_budget (
  location_id text not null,
  allowed_bytes double precision not null default 0,
  at timestamp with time zone not null default now(),
  constraint scrub_budget_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint scrub_budget_pkey PRIMARY KEY (location_id)
);

create table session (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  token_hash bytea not null,
  device_type text not null default ''::text,
  device_os text not null default ''::text,
  app_version text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone,
  parent_id uuid,
  idle_days integer not null default 90,
  constraint session_idle_days_check CHECK ((idle_days >= 1)),
  constraint session_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES session(id) ON DELETE CASCADE,
  constraint session_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint session_pkey PRIMARY KEY (id),
  constraint session_token_hash_key UNIQUE (token_hash)
);
CREATE INDEX session_of_parent ON public.session USING btree (parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX session_of_user ON public.session USING btree (user_id);
CREATE TRIGGER announce_session AFTER DELETE ON public.session FOR EACH ROW EXECUTE FUNCTION announce_credential();
CREATE TRIGGER sync_begin AFTER INSERT ON public.session FOR EACH ROW EXECUTE FUNCTION sync_begin();

create table stack (
  id uuid not null default gen_random_uuid(),
  owner_id uuid not null,
  primary_asset_id uuid not null,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  update_id uuid not null default sync_id(),
  constraint stack_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint stack_primary_asset_id_fkey FOREIGN KEY (primary_asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint stack_pkey PRIMARY KEY (id),
  constraint stack_primary_asset_id_key UNIQUE (primary_asset_id)
);
CREATE INDEX stack_update ON public.stack USING btree (owner_id, update_id);
CREATE TRIGGER sync_stack BEFORE UPDATE ON public.stack FOR EACH ROW WHEN ((((old.primary_asset_id IS DISTINCT FROM new.primary_asset_id) OR (old.created_at IS DISTINCT FROM new.created_at)) OR (old.updated_at IS DISTINCT FROM new.updated_at))) EXECUTE FUNCTION sync_stamp();
CREATE TRIGGER sync_stack_gone AFTER DELETE ON public.stack REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sync_note_removal();

create table stored_object (
  id uuid not null,
  owner_id uuid not null,
  asset_id uuid,
  kind text not null,
  size bigint not null,
  sha256 bytea not null,
  content_type text not null,
  extension text not null,
  state text not null default 'live'::text,
  placement_version integer not null default 0,
  is_linked boolean not null default false,
  created_at timestamp with time zone not null default now(),
  purge_reason text,
  kept_since timestamp with time zone,
  sent_wrong_at timestamp with time zone,
  assigned_to text[],
  assigned_at timestamp with time zone,
  read_first text,
  constraint stored_object_assigned CHECK ((((assigned_to IS NULL) = (assigned_at IS NULL)) AND (COALESCE(cardinality(assigned_to), 1) > 0))),
  constraint stored_object_check CHECK (((state <> 'purging'::text) OR (purge_reason IS NOT NULL))),
  constraint stored_object_kind_check CHECK ((kind = ANY (ARRAY['original'::text, 'sidecar'::text, 'thumbnail'::text, 'preview'::text, 'fullsize'::text, 'encoded-video'::text, 'profile-image'::text, 'person-face'::text, 'database-backup'::text, 'catalogue'::text]))),
  constraint stored_object_purge_reason_check CHECK ((purge_reason = ANY (ARRAY['user'::text, 'replaced'::text, 'refused'::text, 'duplicate'::text]))),
  constraint stored_object_sha256_check CHECK ((octet_length(sha256) = 32)),
  constraint stored_object_size_check CHECK ((size >= 0)),
  constraint stored_object_state_check CHECK ((state = ANY (ARRAY['live'::text, 'purging'::text]))),
  constraint stored_object_pkey PRIMARY KEY (id)
);
CREATE INDEX stored_object_asset ON public.stored_object USING btree (asset_id);
CREATE INDEX stored_object_owner ON public.stored_object USING btree (owner_id);
CREATE INDEX stored_object_sha256 ON public.stored_object USING hash (sha256);
CREATE INDEX stored_object_unlinked ON public.stored_object USING btree (created_at) WHERE ((NOT is_linked) OR (state = 'purging'::text));
CREATE TRIGGER guard_stored_object BEFORE DELETE OR UPDATE ON public.stored_object FOR EACH ROW EXECUTE FUNCTION guard_stored_object();

create table stray (
  location_id text not null,
  key text not null,
  upload_id text not null default ''::text,
  kind text not null,
  size bigint not null,
  etag text,
  last_modified timestamp with time zone not null,
  first_seen_at timestamp with time zone not null,
  last_seen_at timestamp with time zone not null,
  sightings integer not null,
  constraint stray_sightings_check CHECK ((sightings > 0)),
  constraint stray_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint stray_pkey PRIMARY KEY (location_id, key, upload_id)
);
CREATE INDEX stray_catalogue ON public.stray USING btree (location_id, key) WHERE (kind = 'catalogue'::text);

create table stray_sighting (
  location_id text not null,
  key text not null,
  upload_id text not null default ''::text,
  kind text not null,
  size bigint not null,
  etag text,
  last_modified timestamp with time zone not null,
  seen_at timestamp with time zone not null,
  constraint stray_sighting_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id) ON DELETE CASCADE,
  constraint stray_sighting_pkey PRIMARY KEY (location_id, key, upload_id)
);

create table sync_checkpoint (
  session_id uuid not null,
  type text not null,
  id uuid not null,
  extra text,
  begun_id uuid not null default sync_id(),
  constraint sync_checkpoint_session_id_fkey FOREIGN KEY (session_id) REFERENCES sync_session(session_id) ON DELETE CASCADE,
  constraint sync_checkpoint_pkey PRIMARY KEY (session_id, type)
);

create table sync_removal (
  id uuid not null default sync_id(),
  kind text not null,
  scope_id uuid,
  subject_id uuid,
  key text,
  is_gone boolean not null default false,
  checksum bytea,
  constraint sync_removal_pkey PRIMARY KEY (id)
);
CREATE INDEX sync_removal_checksum ON public.sync_removal USING btree (scope_id, checksum) WHERE (checksum IS NOT NULL);
CREATE INDEX sync_removal_scope ON public.sync_removal USING btree (kind, scope_id, id);

create table sync_session (
  session_id uuid not null,
  constraint sync_session_session_id_fkey FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE CASCADE,
  constraint sync_session_pkey PRIMARY KEY (session_id)
);

create table sync_state (
  is_only boolean not null default true,
  clock bigint not null generated always as identity,
  pruned_until uuid,
  constraint sync_state_is_only_check CHECK (is_only),
  constraint sync_state_pkey PRIMARY KEY (is_only)
);

create table system_metadata (
  key text not null,
  value jsonb not null,
  constraint system_metadata_pkey PRIMARY KEY (key)
);

create table tag (
  id uuid not null default gen_random_uuid(),
  owner_id uuid not null,
  parent_id uuid,
  value text not null,
  color text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint tag_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_user(id) ON DELETE CASCADE,
  constraint tag_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES tag(id) ON DELETE CASCADE,
  constraint tag_pkey PRIMARY KEY (id),
  constraint tag_owner_id_value_key UNIQUE (owner_id, value)
);
CREATE INDEX tag_parent ON public.tag USING btree (parent_id) WHERE (parent_id IS NOT NULL);

create table tag_asset (
  tag_id uuid not null,
  asset_id uuid not null,
  created_at timestamp with time zone not null default now(),
  constraint tag_asset_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id) ON DELETE CASCADE,
  constraint tag_asset_tag_id_fkey FOREIGN KEY (tag_id) REFERENCES tag(id) ON DELETE CASCADE,
  constraint tag_asset_pkey PRIMARY KEY (tag_id, asset_id)
);
CREATE INDEX tag_asset_asset ON public.tag_asset USING btree (asset_id);

create table unfinished_upload (
  location_id text not null,
  key text not null,
  upload_id text,
  lease_expires_at timestamp with time zone not null,
  created_at timestamp with time zone not null default now(),
  constraint unfinished_upload_location_id_fkey FOREIGN KEY (location_id) REFERENCES location(id),
  constraint unfinished_upload_pkey PRIMARY KEY (location_id, key)
);
CREATE INDEX unfinished_upload_lease ON public.unfinished_upload USING btree (lease_expires_at);

create table used_key (
  location_id text not null,
  key text not null,
  constraint used_key_pkey PRIMARY KEY (location_id, key)
);

create table version_history (
  id uuid not null default gen_random_uuid(),
  version text not null,
  created_at timestamp with time zone not null default now(),
  constraint version_history_pkey PRIMARY KEY (id)
);

create table worker_heartbeat (
  worker_id text not null,
  beaten_at timestamp with time zone not null default now(),
  constraint worker_heartbeat_pkey PRIMARY KEY (worker_id)
);

CREATE OR REPLACE FUNCTION public.announce_credential()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_notify('glassine_event', (case tg_table_name
    when 'session' then jsonb_build_object('type', 'session-deleted', 'sessionId', old.id)
    when 'api_key' then jsonb_build_object('type', 'api-key-changed', 'apiKeyId', old.id)
    else jsonb_build_object('type', 'user-changed', 'userId', old.id, 'isDeleted',
                            tg_op = 'DELETE' or to_jsonb(new) ->> 'deleted_at' is not null)
  end)::text);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.count_added_assets()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into asset_count (owner_id, month, type, visibility, is_trashed, is_favorite, assets, ratio, bytes)
    select owner_id, date_trunc('month', local_date_time), type, visibility, deleted_at is not null, is_favorite,
      count(*), sum(ratio_of(width, height)), sum(file_size)
    from added group by 1, 2, 3, 4, 5, 6;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.count_changed_asset()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into asset_count (owner_id, month, type, visibility, is_trashed, is_favorite, assets, ratio, bytes) values
    (old.owner_id, date_trunc('month', old.local_date_time), old.type, old.visibility, old.deleted_at is not null,
      old.is_favorite, -1, -ratio_of(old.width, old.height), -old.file_size),
    (new.owner_id, date_trunc('month', new.local_date_time), new.type, new.visibility, new.deleted_at is not null,
      new.is_favorite, 1, ratio_of(new.width, new.height), new.file_size);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.count_removed_assets()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into asset_count (owner_id, month, type, visibility, is_trashed, is_favorite, assets, ratio, bytes)
    select owner_id, date_trunc('month', local_date_time), type, visibility, deleted_at is not null, is_favorite,
      -count(*), -sum(ratio_of(width, height)), -sum(file_size)
    from removed group by 1, 2, 3, 4, 5, 6;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_campaign_object()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if new.state <> old.state and (old.state, new.state) not in (
    ('pending', 'moving'), ('pending', 'unfit'), ('pending', 'gone'), ('unfit', 'pending'),
    ('moving', 'held'), ('moving', 'unfit'), ('moving', 'failed'), ('moving', 'returning'), ('moving', 'gone'),
    ('failed', 'pending'), ('failed', 'gone'),
    ('held', 'reclaiming'), ('held', 'returning'), ('held', 'gone'),
    ('reclaiming', 'reclaimed'), ('reclaiming', 'returning'), ('reclaiming', 'kept'), ('reclaiming', 'gone'),
    ('returning', 'returned'), ('returning', 'pending'), ('returning', 'kept'), ('returning', 'failed'), ('returning', 'gone'),
    ('kept', 'held'), ('kept', 'returning'), ('kept', 'gone')) then
    raise exception 'an object of a campaign does not go from % to %', old.state, new.state using errcode = 'GL001';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_class_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'INSERT' then
    if new.doomed_key is not null then
      raise exception 'a class change begins with copying' using errcode = 'GL001';
    end if;
    insert into used_key (location_id, key) values (new.location_id, new.to_key);
    return new;
  end if;
  if (new.object_id, new.location_id, new.from_key, new.to_key, new.to_class) is distinct from
     (old.object_id, old.location_id, old.from_key, old.to_key, old.to_class) then
    raise exception 'a class change keeps its keys and its class' using errcode = 'GL001';
  end if;
  if old.doomed_key is not null and new.doomed_key is distinct from old.doomed_key then
    raise exception 'which bytes go is decided once' using errcode = 'GL001';
  end if;
  if new.doomed_key is not null and exists (
       select from replica where object_id = new.object_id and location_id = new.location_id and key = new.doomed_key) then
    raise exception 'the replica of object % at % still names that key', new.object_id, new.location_id
      using errcode = 'GL002';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_reference()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare object_id uuid := to_jsonb(new) ->> tg_argv[0];
begin
  if object_id is null then
    return new;
  end if;
  perform from stored_object where id = object_id and state = 'live' for share;
  if not found then
    raise exception 'object % is being purged: nothing can refer to it', object_id using errcode = 'GL004';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_replica()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare object_state text; object_kind text; required int := 1; remaining int; is_acknowledged boolean;
begin
  if tg_op = 'INSERT' then
    if new.state <> 'writing' then
      raise exception 'a replica begins as writing, not %', new.state using errcode = 'GL001';
    end if;
    if new.is_adopted then
      -- Bytes that are there already: nothing is put under the key, so it may have been used.
      insert into used_key (location_id, key) values (new.location_id, new.key) on conflict do nothing;
    else
      insert into used_key (location_id, key) values (new.location_id, new.key);
    end if;
    insert into placement_event (object_id, location_id, key, from_state, to_state, actor)
      values (new.object_id, new.location_id, new.key, null, new.state, new.actor);
    return new;
  end if;

  if tg_op = 'DELETE' then
    if old.state <> 'evicting' then
      raise exception 'a % replica must pass through evicting before it is deleted', old.state using errcode = 'GL001';
    end if;
    insert into placement_event (object_id, location_id, key, from_state, to_state, actor)
      values (old.object_id, old.location_id, old.key, old.state, null, old.actor);
    return old;
  end if;

  if (new.object_id, new.location_id) is distinct from (old.object_id, old.location_id) then
    raise exception 'a replica keeps its object and location' using errcode = 'GL001';
  end if;
  if new.key is distinct from old.key then
    if new.state <> 'verified' or new.proof_level < 3
       or not (old.state = 'verified' and exists (
                 select from class_change
                 where object_id = old.object_id and location_id = old.location_id and from_key = old.key
                   and to_key = new.key and doomed_key is null)
               or old.state in ('suspect', 'writing') and new.is_adopted) then
      raise exception 'a replica keeps its key, but for the proven copy of a class change and for adopted bytes'
        using errcode = 'GL001';
    end if;
    insert into used_key (location_id, key) values (new.location_id, new.key) on conflict do nothing;
    insert into placement_event (object_id, location_id, key, from_state, to_state, proof_level, proof, actor)
      values (new.object_id, new.location_id, new.key, old.state, new.state, new.proof_level, new.proof, new.actor);
    return new;
  end if;
  if new.state = old.state then
    return new;
  end if;
  if (old.state, new.state) not in (('writing', 'verified'), ('verified', 'suspect'), ('suspect', 'verified'),
                                    ('verified', 'evicting'), ('suspect', 'evicting'), ('writing', 'evicting'),
                                    ('evicting', 'verified'), ('evicting', 'suspect')) then
    raise exception 'a replica does not go from % to %', old.state, new.state using errcode = 'GL001';
  end if;
  if new.state = 'evicting' then
    if new.removal is null then
      raise exception 'a replica goes for a reason' using errcode = 'GL001';
    end if;
    update stored_object set placement_version = placement_version + 1
      where id = old.object_id returning state, kind, is_linked into object_state, object_kind, is_acknowledged;
    if new.removal = 'decided' and object_state <> 'purging' then
      raise exception 'object % is live: nobody decided to delete it', old.object_id using errcode = 'GL002';
    end if;
    if object_state = 'live' then
      -- What does not count as a copy leaves as many copies as there were: one of them must be right, so that it can be made anew.
      if old.state = 'verified' then
        required := coalesce((select min_copies from home where kind = object_kind), 1);
      end if;
      select count(*) into remaining from replica
        where object_id = old.object_id and location_id <> old.location_id and state = 'verified';
      if old.state <> 'writing' or new.removal = 'other-copy' then
        if remaining < required then
          raise exception 'object % would keep % of % verified copies', old.object_id, remaining, required
            using errcode = 'GL002';
        end if;
      elsif new.removal = 'wrong-bytes' and is_acknowledged and remaining < 1 then
        raise exception 'object % has no verified copy: what was written at % is kept', old.object_id, old.location_id
          using errcode = 'GL002';
      end if;
    end if;
  else
    new.removal := null;
    if old.state = 'evicting' and new.state = 'verified' and new.proof_level < 3 then
      raise exception 'what was being given up comes back by a proof only' using errcode = 'GL001';
    end if;
  end if;
  insert into placement_event (object_id, location_id, key, from_state, to_state, proof_level, proof, actor)
    values (new.object_id, new.location_id, new.key, old.state, new.state, new.proof_level, new.proof,
            new.actor);
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_retired()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform from location where id = new.location_id and retired_at is null for key share;
  if not found then
    raise exception 'nothing is written at location %: it is retired', new.location_id using errcode = 'GL001';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_stored_object()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' then
    if old.state <> 'purging' then
      raise exception 'object % is live', old.id using errcode = 'GL001';
    end if;
    return old;
  end if;
  if old.state = 'purging' and new.state <> 'purging' then
    raise exception 'object % is purging for good', old.id using errcode = 'GL001';
  end if;
  if (new.id, new.owner_id, new.kind, new.size, new.sha256) is distinct from
     (old.id, old.owner_id, old.kind, old.size, old.sha256) then
    raise exception 'object % is immutable', old.id using errcode = 'GL001';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.guard_user()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' then
    if old.removal_begun_at is null then
      raise exception 'user % is not being removed', old.id using errcode = 'GL005';
    end if;
    return old;
  end if;
  if old.removal_begun_at is not null and new.removal_begun_at is null then
    raise exception 'user % is being removed for good', old.id using errcode = 'GL005';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.keep_collected_key()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update collection_item set state = 'kept', reason = 'named'
    where location_id = new.location_id and key = new.key and upload_id = '' and state = 'held';
  if exists (select from collection_item
             where location_id = new.location_id and key = new.key and upload_id = '' and state = 'removing') then
    raise exception '% is being removed at %', new.key, new.location_id using errcode = 'GL003';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.lived_since(since timestamp with time zone)
 RETURNS interval
 LANGUAGE sql
 STABLE
AS $function$
  select now() - since - coalesce((
    select sum(least(until_at, now()) - greatest(from_at, since))
    from (
      select from_at, until_at from clock_gap
      union all
      select seen_at, now() from clock_seen where now() - seen_at > interval '1 hour'
    ) as gap
    where until_at > since and from_at < now()), interval '0')
$function$;

CREATE OR REPLACE FUNCTION public.note_catalogue_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  subject_name text := tg_argv[0];
  id_column text := tg_argv[1];
  before jsonb;
begin
  if tg_op <> 'INSERT' then
    before := to_jsonb(old);
  end if;
  if subject_name = 'asset' and id_column = 'id' and tg_op <> 'INSERT' then
    insert into catalogue_change (subject, subject_id, owner_id, month)
      values ('asset', old.id, old.owner_id, date_trunc('month', old.local_date_time)::date);
    return null;
  end if;
  insert into catalogue_change (subject, subject_id)
    values (subject_name, (coalesce(before, to_jsonb(new)) ->> id_column)::uuid);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.note_catalogue_place()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare was boolean := false; is_now boolean := false; found_asset uuid;
begin
  if tg_op <> 'INSERT' then was := old.state = 'verified'; end if;
  if tg_op <> 'DELETE' then is_now := new.state = 'verified'; end if;
  if was = is_now and not (is_now and new.key is distinct from old.key) then
    return null;
  end if;
  select asset_id into found_asset from stored_object
    where id = coalesce(new.object_id, old.object_id) and kind in ('original', 'sidecar');
  if found_asset is not null then
    insert into catalogue_change (subject, subject_id) values ('asset', found_asset);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.note_writable_key()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.writable_until > now() - interval '1 day' then
    insert into key_to_clear (location_id, key, writable_until, clear_at, object_id, removal)
      values (old.location_id, old.key, old.writable_until, greatest(old.writable_until, now() + interval '10 minutes'),
              old.object_id, old.removal);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  new.writable_until := null;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.ratio_of(width integer, height integer)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(round(width::numeric / height, 9), 1)
$function$;

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'GL003';
end $function$;

CREATE OR REPLACE FUNCTION public.search_text(value text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case when octet_length(value) = char_length(value) then lower(value)
    else replace(replace(replace(replace(
      translate(
        lower(normalize(regexp_replace(normalize(value, nfkd),
          '[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]', '', 'g'), nfc)),
        'øłđðħŧı', 'olddhti'),
      'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th') end
$function$;

CREATE OR REPLACE FUNCTION public.sync_album_joined()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update album set update_id = sync_id()
  where id in (select album_id from joined group by album_id having not bool_or(role = 'owner'));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_begin()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into sync_session (session_id) values (new.id);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_bound()
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
declare
  now_us bigint := sync_tick();
  oldest_ms bigint;
begin
  select now_us / 1000 - max(case when age > 2147483647 then 0 else age end) into oldest_ms
  from pg_locks,
    lateral (select (now_us / 1000 - objid::bigint) % 4294967296 as rest) as remainder,
    lateral (select case when rest < 0 then rest + 4294967296 else rest end as age) as ago
  where locktype = 'advisory' and classid = 1398361667 and objsubid = 2
    and database = (select oid from pg_database where datname = current_database());
  return sync_floor(least(now_us, oldest_ms * 1000));
end $function$;

CREATE OR REPLACE FUNCTION public.sync_exif_owner()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  -- Without its asset it is refused by the foreign key.
  select owner_id into new.owner_id from asset where id = new.asset_id;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_floor(us bigint)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select (lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(us % 1000 * 4096 / 1000), 3, '0')
    || '8000000000000000')::uuid
$function$;

CREATE OR REPLACE FUNCTION public.sync_id()
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
declare
  us bigint;
  since bigint;
begin
  if current_setting('glassine.sync', true) is distinct from 'writes' then
    since := sync_tick() / 1000 % 4294967296;
    perform pg_advisory_xact_lock_shared(1398361667, (since - case when since > 2147483647 then 4294967296 else 0 end)::int);
    perform set_config('glassine.sync', 'writes', true);
  end if;
  us := sync_tick();
  return (lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(us % 1000 * 4096 / 1000), 3, '0')
    || right(gen_random_uuid()::text, 17))::uuid;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_note_removal()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  case tg_table_name
    when 'app_user' then
      insert into sync_removal (kind, subject_id) select 'user', id from gone;
    when 'asset' then
      insert into sync_removal (kind, scope_id, subject_id, checksum) select 'asset', owner_id, id, checksum from gone;
    when 'album_user' then
      insert into sync_removal (kind, scope_id, subject_id) select 'album', user_id, album_id from gone;
      -- Nobody is left to hear of the members of an album that is gone, nor of what was in it.
      insert into sync_removal (kind, scope_id, subject_id)
        select 'album_user', album_id, user_id from gone where exists (select from album where id = album_id);
    when 'album_asset' then
      insert into sync_removal (kind, scope_id, subject_id, is_gone)
        select 'album_asset', album_id, asset_id, not exists (select from asset where id = asset_id)
        from gone where exists (select from album where id = album_id);
    when 'partner' then
      insert into sync_removal (kind, scope_id, subject_id, key)
        select 'partner', side.scope_id, side.subject_id, side.key from gone,
          lateral (values (shared_by_id, shared_with_id, 'shared-by'), (shared_with_id, shared_by_id, 'shared-with'))
            as side (scope_id, subject_id, key)
        where exists (select from app_user where id = shared_by_id)
          and exists (select from app_user where id = shared_with_id);
    when 'stack' then
      insert into sync_removal (kind, scope_id, subject_id)
        select 'stack', owner_id, id from gone where exists (select from app_user where id = gone.owner_id);
    when 'memory' then
      insert into sync_removal (kind, scope_id, subject_id)
        select 'memory', owner_id, id from gone where exists (select from app_user where id = gone.owner_id);
    when 'memory_asset' then
      insert into sync_removal (kind, scope_id, subject_id)
        select 'memory_asset', memory_id, asset_id from gone where exists (select from memory where id = memory_id);
    when 'asset_metadata' then
      insert into sync_removal (kind, scope_id, subject_id, key)
        select 'asset_metadata', owner_id, asset_id, key from gone where exists (select from asset where id = asset_id);
  end case;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_restart()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  delete from sync_session;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_stamp()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  new.update_id := sync_id();
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_stamp_user()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (old.name, old.email, old.avatar_color, old.deleted_at, old.profile_image_object_id is null, old.profile_changed_at)
    is distinct from
    (new.name, new.email, new.avatar_color, new.deleted_at, new.profile_image_object_id is null, new.profile_changed_at)
  then
    new.update_id := sync_id();
    new.own_update_id := new.update_id;
  elsif (old.is_admin, old.storage_label, old.quota_bytes) is distinct from (new.is_admin, new.storage_label, new.quota_bytes)
  then
    new.own_update_id := sync_id();
  end if;
  if old.preferences is distinct from new.preferences then
    new.preferences_update_id := sync_id();
  end if;
  if old.is_onboarded is distinct from new.is_onboarded then
    new.onboarding_update_id := sync_id();
    if new.is_onboarded is null then
      insert into sync_removal (kind, scope_id, key) values ('user_metadata', new.id, 'onboarding');
    end if;
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_tick()
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  next_tick bigint := nextval('sync_state_clock_seq');
  now_us bigint := extract(epoch from clock_timestamp()) * 1000000;
begin
  if next_tick >= now_us then
    return next_tick;
  end if;
  perform setval('sync_state_clock_seq', now_us);
  return now_us;
end $function$;

CREATE OR REPLACE FUNCTION public.sync_time(id uuid)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select to_timestamp(('x0000' || left(replace(id::text, '-', ''), 12))::bit(64)::bigint / 1000.0)
$function$;

CREATE OR REPLACE FUNCTION public.sync_unlocked()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update asset_exif set update_id = sync_id() where asset_id = new.id;
  return null;
end $function$;
