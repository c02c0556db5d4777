/**
 * Which folder of `src` each table and function of the schema belongs to. Import rules can't see into SQL, so
 * this is the rule for it, and `tests/check/table-owners.test.ts` holds all statements against it:
 *
 * - The owner reads and writes its tables.
 * - Other folders of the owner's room read them, and write those that `WRITERS` allows.
 * - Other top folders use none of them, except in the statements of `CROSSINGS`. They ask the owner for a
 * function, for an expression to
 * be part of their statement (`placement/ledger/object-sql.ts`, `queue/find-jobs.ts`), or are given their
 * condition.
 */
import type { Schema } from './schema.ts'

type NotInSchema =
  | 'schema_migration'
  | 'clock_seen'
  | 'clock_gap'
  | 'graphile_worker'
  | `${'announce_credential' | 'guard_campaign_object' | 'guard_class_change' | 'guard_reference' | 'guard_replica' | 'guard_retired' | 'guard_stored_object' | 'guard_user' | 'lived_since'}()`
  | `${'sync_tick' | 'sync_floor' | 'sync_time' | 'sync_id' | 'sync_bound' | 'sync_begin' | 'sync_restart'}()`
  | `${'sync_stamp' | 'sync_stamp_user' | 'sync_exif_owner' | 'sync_album_joined' | 'sync_note_removal' | 'sync_unlocked'}()`
  | `${'count_added_assets' | 'count_removed_assets' | 'count_changed_asset' | 'ratio_of'}()`
  | `${'keep_collected_key' | 'note_writable_key' | 'note_catalogue_change' | 'note_catalogue_place' | 'refuse_change' | 'search_text'}()`

/**
 * Functions with brackets. Those of `database` are for all to call; the others are called by triggers alone.
 */
export const OWNERS: Record<keyof Schema | NotInSchema, string> = {
  schema_migration: 'database',
  clock_seen: 'database',
  clock_gap: 'database',
  installation: 'database/backups',
  'lived_since()': 'database',
  'search_text()': 'database',

  graphile_worker: 'queue',
  worker_heartbeat: 'queue',
  paused_queue: 'queue',
  job_schedule: 'queue',
  job_failure: 'queue',

  stored_object: 'placement/ledger',
  replica: 'placement/ledger',
  used_key: 'placement/ledger',
  placement_event: 'placement/ledger',
  local_lease: 'placement/ledger',
  home: 'placement/ledger',
  'guard_stored_object()': 'placement/ledger',
  'guard_reference()': 'placement/ledger',
  'guard_replica()': 'placement/ledger',
  'guard_retired()': 'placement/locations',
  'refuse_change()': 'placement/ledger',
  location: 'placement/locations',
  location_counter: 'placement/locations',
  drill: 'placement/locations',
  outage: 'placement/locations',
  probe_change: 'placement/locations',
  browser_probe: 'placement/locations',
  key_to_clear: 'placement/ledger',
  object_lock: 'placement/ledger',
  'note_writable_key()': 'placement/ledger',
  class_change: 'placement/classes',
  class_refusal: 'placement/classes',
  class_sweep: 'placement/classes',
  replica_restore: 'placement/classes',
  'guard_class_change()': 'placement/classes',
  unfinished_upload: 'placement/uploads',
  location_listing: 'placement/listing',
  stray_sighting: 'placement/listing',
  stray: 'placement/listing',
  collection: 'placement/collect',
  collection_item: 'placement/collect',
  'keep_collected_key()': 'placement/collect',
  location_scrub: 'placement/scrub',
  scrub_budget: 'placement/scrub',
  database_backup: 'placement/backups',
  catalogue_batch: 'placement/catalogue',
  catalogue_state: 'placement/catalogue',
  adoption: 'placement/takeover',
  campaign: 'placement/migration',
  campaign_object: 'placement/migration',
  'guard_campaign_object()': 'placement/migration',

  session: 'library/credentials',
  api_key: 'library/credentials',
  'announce_credential()': 'library/credentials',
  app_user: 'library/users',
  'guard_user()': 'library/users',
  asset: 'library/assets',
  asset_file: 'library/assets',
  asset_exif: 'library/assets',
  asset_count: 'library/assets',
  'count_added_assets()': 'library/assets',
  'count_removed_assets()': 'library/assets',
  'count_changed_asset()': 'library/assets',
  'ratio_of()': 'library/assets',
  asset_reading: 'library/processing',
  reading_sweep: 'library/processing',
  reading_day: 'library/processing',
  album: 'library/albums',
  album_user: 'library/albums',
  album_asset: 'library/albums',
  activity: 'library/albums',
  partner: 'library/sharing',
  stack: 'library/stacks',
  asset_metadata: 'library/assets',
  tag: 'library/tags',
  tag_asset: 'library/tags',
  memory: 'library/memories',
  memory_asset: 'library/memories',
  memory_progress: 'library/memories',
  direct_upload: 'library/direct-uploads',
  archive_download: 'library/downloads',
  alert: 'library/notifications',
  notification: 'library/notifications',
  notification_delivery: 'library/notifications',
  catalogue_change: 'library/catalogue',
  catalogue_text: 'library/catalogue',
  catalogue_found: 'library/catalogue',
  catalogue_left_over: 'library/catalogue',
  'note_catalogue_change()': 'library/catalogue',
  'note_catalogue_place()': 'library/catalogue',
  sync_state: 'library/sync',
  sync_removal: 'library/sync',
  sync_session: 'library/sync',
  sync_checkpoint: 'library/sync',
  'sync_tick()': 'library/sync',
  'sync_floor()': 'library/sync',
  'sync_time()': 'library/sync',
  'sync_id()': 'library/sync',
  'sync_bound()': 'library/sync',
  'sync_begin()': 'library/sync',
  'sync_restart()': 'library/sync',
  'sync_stamp()': 'library/sync',
  'sync_stamp_user()': 'library/sync',
  'sync_exif_owner()': 'library/sync',
  'sync_album_joined()': 'library/sync',
  'sync_note_removal()': 'library/sync',
  'sync_unlocked()': 'library/sync',
  system_metadata: 'library/server',
  version_history: 'library/server',
}

type Table = keyof typeof OWNERS

/** Tables that another folder of the owner's room writes, too. */
export const WRITERS: Record<string, readonly Table[]> = {
  // All times that a clock which was ahead has written are brought back in one place.
  'placement/ledger': [
    'location',
    'drill',
    'outage',
    'unfinished_upload',
    'class_change',
    'adoption',
    'replica_restore',
    'location_listing',
    'class_refusal',
    'browser_probe',
    'stray',
    'stray_sighting',
    'collection',
    'collection_item',
  ],
  'placement/removal': ['key_to_clear'],
  'placement/replica-io': ['replica', 'replica_restore', 'class_refusal'],
  'placement/classes': ['replica'],
  // Of a backup, when its snapshot was taken; and one that a listing has found.
  'placement/backups': ['stored_object'],
  // Of a batch or a text of the catalogue, when it was made or what month it tells of.
  'placement/catalogue': ['stored_object'],
  // What was removed is listed no more.
  'placement/collect': ['stray'],
  // Where an object belongs.
  'placement/migration': ['stored_object'],
  'placement/lifecycle': ['stored_object'],
  'placement/reads': ['stored_object'],
  'placement/uploads': ['replica'],
  // A copy of an installation forgets what the original has under way at the location.
  'placement/takeover': [
    'location',
    'replica',
    'unfinished_upload',
    'key_to_clear',
    'class_change',
    'replica_restore',
    'location_counter',
  ],
  'placement/maintenance': ['stored_object', 'local_lease'],
  // A film that is hidden with its still leaves all albums, and what is purged its stack, in the same
  // transaction.
  'library/assets': ['album', 'album_asset', 'stack'],
  // Which stack an asset is in is a column of the asset's row.
  'library/stacks': ['asset'],
  // What a catalogue names comes back as it was, with its ids.
  'library/catalogue/adoption': ['app_user', 'asset', 'asset_exif', 'album', 'album_user', 'album_asset'],
  'library/processing': ['asset', 'asset_exif'],
  'library/uploads': ['asset_file'],
  'library/direct-uploads': ['asset'],
  'library/server': ['app_user', 'asset', 'direct_upload', 'session'],
}

/** Statements of one top folder on another's tables, each with its reason. */
export const CROSSINGS: readonly { file: string; reads: readonly Table[]; why: string }[] = [
  {
    file: 'library/assets/media-rows.ts',
    reads: ['stored_object', 'replica', 'replica_restore'],
    why: 'one statement instead of three in a row for each thumbnail, preview and range: who asks, for what, and where its bytes are',
  },
  {
    file: 'library/direct-uploads/rows.ts',
    reads: ['replica'],
    why: 'one statement instead of two for each step of a direct upload: who asks, for which upload, and where it is written',
  },
]
