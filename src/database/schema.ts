/** The tables of `migrations/`, as Kysely sees them. Which folder each belongs to: `table-owners.ts`. */
import type { ColumnType, Generated, JSONColumnType } from 'kysely'

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>
type NullableTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>
/** bigint: `database/connect.ts` parses it to a number; sizes stay far below 2^53. */
type BigInt8 = number
type NullableBigInt8 = ColumnType<number | null, number | null | undefined, number | null>
type Json = JSONColumnType<Record<string, unknown>>
type NullableJson<T extends object> = ColumnType<T | null, string | null | undefined, string | null>

export type ObjectKind =
  | 'original'
  | 'sidecar'
  | 'thumbnail'
  | 'preview'
  | 'fullsize'
  | 'encoded-video'
  | 'profile-image'
  | 'person-face'
  | 'database-backup'
  | 'catalogue'
export type ReplicaState = 'writing' | 'verified' | 'suspect' | 'evicting'
export type ObjectState = 'live' | 'purging'
/** Why an object is purged: see `stored_object.purge_reason`. */
export type PurgeReason = 'user' | 'replaced' | 'refused' | 'duplicate'
/** Why the bytes of a replica go: see `replica.removal`. */
export type Removal = 'wrong-bytes' | 'other-copy' | 'decided' | 'nothing-there'
/** What a location's counter says against this ledger: see `placement/locations/counter/counter.ts`. */
export type CounterConflict = 'another-ledger' | 'older-place'
export type AssetType = 'IMAGE' | 'VIDEO' | 'AUDIO' | 'OTHER'
export type Visibility = 'timeline' | 'archive' | 'hidden' | 'locked'
export type DirectUploadState = 'open' | 'received' | 'done' | 'duplicate' | 'failed' | 'abandoned'
export type AlbumRole = 'owner' | 'editor' | 'viewer'

/** Of what lies at a location and nothing names; `upload_id` '': a file. */
type StrayColumns = {
  location_id: string
  key: string
  upload_id: Generated<string>
  kind: string
  size: BigInt8
  etag: string | null
  last_modified: Timestamp
}
export type CollectionItemState = 'held' | 'removing' | 'removed' | 'kept' | 'undone'

export type Schema = {
  app_user: {
    id: Generated<string>
    email: string
    name: string
    password_hash: string
    is_admin: Generated<boolean>
    should_change_password: Generated<boolean>
    avatar_color: Generated<string>
    profile_image_object_id: string | null
    profile_changed_at: Timestamp
    storage_label: string | null
    quota_bytes: BigInt8 | null
    preferences: ColumnType<Record<string, unknown>, string | undefined, string>
    /** Null: nobody has said. */
    is_onboarded: boolean | null
    created_at: Timestamp
    updated_at: Timestamp
    deleted_at: NullableTimestamp
    removal_begun_at: NullableTimestamp
    update_id: Generated<string>
    own_update_id: Generated<string>
    preferences_update_id: Generated<string>
    onboarding_update_id: Generated<string>
  }
  session: {
    id: Generated<string>
    user_id: string
    token_hash: Buffer
    device_type: Generated<string>
    device_os: Generated<string>
    app_version: string | null
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: NullableTimestamp
    parent_id: string | null
    idle_days: Generated<number>
  }
  api_key: {
    id: Generated<string>
    user_id: string
    name: string
    key_hash: Buffer
    permissions: string[]
    created_at: Timestamp
    updated_at: Timestamp
  }
  alert: {
    id: Generated<BigInt8>
    kind: 'photo-at-risk' | 'late-backup' | 'location-away' | 'fewer-copies' | 'unhealed'
    subject: string
    facts: ColumnType<Record<string, unknown>, string | undefined, string>
    opened_at: Timestamp
    closed_at: NullableTimestamp
  }
  notification: {
    id: Generated<string>
    user_id: string
    level: 'success' | 'error' | 'warning' | 'info'
    title: string
    description: string
    data: Json
    created_at: Timestamp
    read_at: NullableTimestamp
  }
  notification_delivery: {
    id: Generated<string>
    channel: 'email' | 'webhook'
    recipient: string
    message: Json
    created_at: Timestamp
  }
  system_metadata: { key: string; value: Json }
  version_history: { id: Generated<string>; version: string; created_at: Timestamp }
  location: {
    id: string
    kind: 'disk' | 's3' | 'memory'
    identity: string
    marker: string | null
    next_marker: string | null
    created_at: Timestamp
    probed_at: NullableTimestamp
    probe: NullableJson<Record<string, unknown>>
    is_healthy: boolean | null
    health_error: string | null
    health_changed_at: NullableTimestamp
    last_success_at: NullableTimestamp
    away_since: NullableTimestamp
    origin: NullableJson<Record<string, unknown>>
    drain_begun_at: NullableTimestamp
    drain_files: number | null
    drain_bytes: number | null
    retired_at: NullableTimestamp
  }
  installation: {
    is_only: Generated<boolean>
    id: Generated<string>
    created_at: Timestamp
    recipient: string | null
    key_confirmed_at: NullableTimestamp
    restored_from: NullableTimestamp
    restored_number: BigInt8 | null
  }
  database_backup: {
    object_id: string
    number: Generated<BigInt8>
    taken_at: Timestamp
    migration: string
    row_count: BigInt8
    is_of_another_line: Generated<boolean>
  }
  catalogue_change: {
    id: Generated<BigInt8>
    subject: 'user' | 'asset' | 'album'
    subject_id: string
    owner_id: string | null
    /** `YYYY-MM-DD`, the first of the month. */
    month: string | null
    at: Timestamp
  }
  catalogue_batch: {
    object_id: string
    number: Generated<BigInt8>
    is_snapshot: boolean
    entries: BigInt8
    made_at: Timestamp
  }
  catalogue_text: {
    owner_id: string
    month: string
    object_id: string | null
    former_object_id: string | null
    dirty_since: NullableTimestamp
    written_at: NullableTimestamp
  }
  catalogue_state: {
    is_only: Generated<boolean>
    heads: Generated<string[]>
    followed: Generated<string[]>
    unread: Generated<string[]>
    is_snapshot_due: Generated<boolean>
    adoption: NullableJson<Record<string, unknown>>
    drill: NullableJson<Record<string, unknown>>
    reading: string | null
  }
  catalogue_found: {
    kind: 'user' | 'asset' | 'album'
    id: string
    /** SHA-256 of the batch, lower-case hex. */
    batch: string
    is_known: boolean
    is_gone: boolean
    entry: Json
    /** Left over by an earlier run, after which the asset was there. */
    is_there_already: Generated<boolean>
  }
  catalogue_left_over: {
    kind: 'user' | 'asset' | 'album'
    id: string
    is_there: boolean
    entry: Json
  }
  drill: { location_id: string; started_at: Timestamp; ends_at: Timestamp; actor: string }
  probe_change: {
    id: Generated<BigInt8>
    location_id: string
    trait: string
    before: boolean
    after: boolean
    is_weaker: boolean
    found_at: Timestamp
    settled_at: NullableTimestamp
    settled_by: string | null
  }
  home: {
    kind: ObjectKind
    location_ids: unknown
    since: Timestamp
    min_copies: Generated<number>
    configured_ids: unknown
    configured_since: NullableTimestamp
    held_ids: unknown
    held_before: NullableTimestamp
  }
  campaign: {
    id: string
    created_at: Timestamp
    actor: string
    reason: 'asked' | 'configuration' | 'rollback'
    reverse_of: string | null
    kinds: string[]
    owner_ids: string[] | null
    album_ids: string[] | null
    older_than_days: number | null
    younger_than_days: number | null
    from_ids: string[]
    to_ids: string[]
    bytes_per_second: NullableBigInt8
    from_minute: number | null
    until_minute: number | null
    workers: Generated<number>
    hold_hours: Generated<number>
    phase: Generated<string>
    phase_since: Timestamp
    paused_at: NullableTimestamp
    paused_why: string | null
    scanned_to: string | null
    is_scanned: Generated<boolean>
    checked_to: string | null
    is_sampled: Generated<boolean>
    sample_bytes: Generated<BigInt8>
    sample_ms: Generated<BigInt8>
    hold_until: NullableTimestamp
    failures_in_a_row: Generated<number>
    is_withdrawn: Generated<boolean>
  }
  campaign_object: {
    campaign_id: string
    object_id: string
    kind: string
    size: BigInt8
    state: Generated<string>
    cause: string | null
    error: string | null
    attempts: Generated<number>
    not_before: NullableTimestamp
    claim: string | null
    lease_expires_at: NullableTimestamp
    is_sample: Generated<boolean>
    rehearsed_at: NullableTimestamp
    made_ids: Generated<string[]>
    is_assigned: Generated<boolean>
    before_ids: string[] | null
    before_at: NullableTimestamp
    belonged_at: Generated<string[]>
  }
  browser_probe: {
    id: string
    location_id: string
    key: string
    origin: string
    expires_at: Timestamp
    finished_at: NullableTimestamp
  }
  stored_object: {
    id: string
    owner_id: string
    asset_id: string | null
    kind: ObjectKind
    size: BigInt8
    sha256: Buffer
    content_type: string
    extension: string
    state: Generated<ObjectState>
    placement_version: Generated<number>
    is_linked: Generated<boolean>
    created_at: Timestamp
    purge_reason: ColumnType<PurgeReason | null, PurgeReason | null | undefined, PurgeReason | null>
    kept_since: NullableTimestamp
    sent_wrong_at: NullableTimestamp
    assigned_to: ColumnType<string[] | null, string[] | null | undefined, string[] | null>
    assigned_at: NullableTimestamp
    read_first: ColumnType<string | null, string | null | undefined, string | null>
  }
  replica: {
    object_id: string
    location_id: string
    key: string
    state: ReplicaState
    proof_level: number | null
    proof: NullableJson<Record<string, unknown>>
    verified_at: NullableTimestamp
    lease_expires_at: NullableTimestamp
    actor: string
    created_at: Timestamp
    upload_id: string | null
    writable_until: NullableTimestamp
    storage_class: ColumnType<string | null, string | null | undefined, string | null>
    class_since: Timestamp
    removal: ColumnType<Removal | null, Removal | null | undefined, Removal | null>
    is_adopted: Generated<boolean>
  }
  location_counter: {
    location_id: string
    value: BigInt8
    token: string | null
    next_token: string | null
    next_holder: string | null
    version: string | null
    advanced_at: Timestamp
    is_advance_due: Generated<boolean>
    holder: string
    conflict: ColumnType<CounterConflict | null, CounterConflict | null | undefined, CounterConflict | null>
    conflict_since: NullableTimestamp
    seen_value: NullableBigInt8
    seen_token: string | null
  }
  adoption: {
    location_id: string
    state: 'running' | 'done'
    actor: string
    after_key: Generated<string>
    report: Json
    started_at: Timestamp
    finished_at: NullableTimestamp
  }
  class_change: {
    object_id: string
    location_id: string
    from_key: string
    to_key: string
    to_class: string
    doomed_key: string | null
    lease_expires_at: Timestamp
    clear_after: NullableTimestamp
    actor: string
    created_at: Timestamp
  }
  class_refusal: {
    object_id: string
    location_id: string
    to_class: string
    reason: string
    refused_until: Timestamp
  }
  class_sweep: { is_only: Generated<boolean>; after_object: string; after_location: string }
  replica_restore: {
    object_id: string
    location_id: string
    tier: 'expedited' | 'standard' | 'bulk'
    days: number
    requested_at: Timestamp
    requested_by: string | null
    expected_at: Timestamp
    accepted_at: NullableTimestamp
    available_until: NullableTimestamp
    check_at: Timestamp
  }
  used_key: { location_id: string; key: string }
  placement_event: {
    id: Generated<BigInt8>
    object_id: string
    location_id: string
    key: string
    from_state: ReplicaState | null
    to_state: ReplicaState | null
    proof_level: number | null
    proof: NullableJson<Record<string, unknown>>
    actor: string
    at: Timestamp
  }
  unfinished_upload: {
    location_id: string
    key: string
    upload_id: string | null
    lease_expires_at: Timestamp
    created_at: Timestamp
  }
  object_lock: {
    location_id: string
    key: string
    retained_until: NullableTimestamp
    is_on_hold: Generated<boolean>
    version_id: string | null
    retry_at: NullableTimestamp
  }
  key_to_clear: {
    location_id: string
    key: string
    writable_until: Timestamp
    clear_at: Timestamp
    object_id: string | null
    removal: string | null
    failures: Generated<number>
    retry_at: NullableTimestamp
    duplicate_owner_id: string | null
    duplicate_kind: ObjectKind | null
    duplicate_size: BigInt8 | null
    duplicate_sha256: Buffer | null
  }
  location_listing: {
    id: Generated<BigInt8>
    location_id: string
    begun_at: Timestamp
    finished_at: NullableTimestamp
    after_key: Generated<string>
    holder: string | null
    lease_expires_at: NullableTimestamp
    listed_count: Generated<BigInt8>
    listed_bytes: Generated<BigInt8>
    unknown_count: Generated<BigInt8>
    unknown_bytes: Generated<BigInt8>
    missing_count: Generated<BigInt8>
    different_count: Generated<BigInt8>
    error: string | null
    expected_count: Generated<BigInt8>
    found_count: Generated<BigInt8>
    foreign_count: Generated<BigInt8>
    foreign_bytes: Generated<BigInt8>
    uploads_error: string | null
    is_sound: Generated<boolean>
  }
  stray_sighting: StrayColumns & { seen_at: Timestamp }
  stray: StrayColumns & { first_seen_at: Timestamp; last_seen_at: Timestamp; sightings: number }
  collection: {
    id: string
    location_id: string
    actor: string
    plan_id: string
    files: BigInt8
    uploads: BigInt8
    bytes: BigInt8
    decided_at: Timestamp
    collect_after: Timestamp
    undone_at: NullableTimestamp
    undone_by: string | null
    finished_at: NullableTimestamp
    error: string | null
  }
  collection_item: StrayColumns & {
    collection_id: string
    sha256: Buffer | null
    state: Generated<CollectionItemState>
    reason: string | null
    not_before: NullableTimestamp
    lease_expires_at: NullableTimestamp
    claimed_at: NullableTimestamp
  }
  location_scrub: {
    id: Generated<BigInt8>
    location_id: string
    begun_at: Timestamp
    finished_at: NullableTimestamp
    after_object_id: Generated<string>
    holder: string | null
    lease_expires_at: NullableTimestamp
    read_count: Generated<BigInt8>
    read_bytes: Generated<BigInt8>
    wrong_count: Generated<BigInt8>
    unread_count: Generated<BigInt8>
    error: string | null
  }
  scrub_budget: { location_id: string; allowed_bytes: Generated<number>; at: Generated<Timestamp> }
  local_lease: { id: string; object_id: string; purpose: string; expires_at: Timestamp }
  asset: {
    id: string
    owner_id: string
    type: AssetType
    checksum: Buffer
    original_object_id: string
    original_file_name: string
    original_mime_type: string
    file_size: BigInt8
    file_created_at: Timestamp
    file_modified_at: Timestamp
    /** `timestamp without time zone`, read as text `YYYY-MM-DD HH:MM:SS.mmm`, never as a Date. */
    local_date_time: string
    time_zone: string | null
    created_at: Timestamp
    updated_at: Timestamp
    deleted_at: NullableTimestamp
    is_favorite: Generated<boolean>
    visibility: Generated<Visibility>
    live_photo_video_id: string | null
    /** Apple's ContentIdentifier: a live photo's still and film carry the same one. */
    live_photo_id: string | null
    /** A film that was taken out of its picture's file. */
    is_embedded: Generated<boolean>
    stack_id: string | null
    width: number | null
    height: number | null
    duration_ms: BigInt8 | null
    thumbhash: Buffer | null
    processing: Generated<'pending' | 'done' | 'failed'>
    processing_error: string | null
    /** How often its decoder took too much or died since somebody last asked for it. */
    decoder_failures: Generated<number>
    update_id: Generated<string>
  }
  direct_upload: {
    id: string
    owner_id: string
    object_id: string
    asset_id: string
    state: Generated<DirectUploadState>
    reason: string | null
    size: BigInt8
    sha256: Buffer
    sha1: Buffer
    md5: Buffer | null
    part_bytes: BigInt8 | null
    file_name: string
    file_created_at: Timestamp
    file_modified_at: Timestamp
    is_favorite: boolean
    visibility: Visibility
    duration_ms: BigInt8 | null
    live_photo_video_id: string | null
    expires_at: Timestamp
    created_at: Timestamp
    ended_at: NullableTimestamp
  }
  asset_file: {
    asset_id: string
    kind: 'sidecar' | 'thumbnail' | 'preview' | 'fullsize' | 'encoded-video'
    object_id: string
    width: number | null
    height: number | null
  }
  /** Differences, by 0053-asset-counts.sql: only sums say anything. */
  asset_count: {
    owner_id: string
    /** The first day, `YYYY-MM-DD`. */
    month: string
    type: AssetType
    visibility: Visibility
    is_trashed: boolean
    is_favorite: boolean
    assets: BigInt8
    ratio: string
    bytes: string
    is_merged: Generated<boolean>
  }
  asset_exif: {
    asset_id: string
    make: string | null
    model: string | null
    lens_model: string | null
    exif_image_width: number | null
    exif_image_height: number | null
    orientation: string | null
    date_time_original: NullableTimestamp
    modify_date: NullableTimestamp
    time_zone: string | null
    latitude: number | null
    longitude: number | null
    city: string | null
    state: string | null
    country: string | null
    /** Of the data that named the place; null where the coordinates wait for it, or there are none. */
    places_version: number | null
    f_number: number | null
    focal_length: number | null
    iso: number | null
    exposure_time: string | null
    fps: number | null
    description: Generated<string>
    rating: number | null
    projection_type: string | null
    /** Columns that the user set: reading the file again leaves them alone. */
    user_set: Generated<string[]>
    updated_at: Timestamp
    /** Its asset's: a trigger writes it. */
    owner_id: Generated<string>
    update_id: Generated<string>
  }
  asset_reading: {
    asset_id: string
    reader_version: number
    /** `FileDetails` without what is null or empty. */
    details: ColumnType<Record<string, unknown>, string | undefined, string>
    read_at: Timestamp
  }
  reading_sweep: { is_only: Generated<boolean>; after_version: number; after_asset: string }
  reading_day: { day: string; bucket_bytes: Generated<BigInt8>; archive_bytes: Generated<BigInt8> }
  album: {
    id: Generated<string>
    name: Generated<string>
    description: Generated<string>
    thumbnail_asset_id: string | null
    is_activity_enabled: Generated<boolean>
    asset_order: Generated<'asc' | 'desc'>
    created_at: Timestamp
    updated_at: Timestamp
    update_id: Generated<string>
  }
  album_user: {
    album_id: string
    user_id: string
    role: AlbumRole
    created_at: Timestamp
    create_id: Generated<string>
    update_id: Generated<string>
  }
  album_asset: {
    album_id: string
    asset_id: string
    created_at: Timestamp
    update_id: Generated<string>
  }
  sync_state: { is_only: Generated<boolean>; clock: Generated<BigInt8>; pruned_until: string | null }
  sync_removal: {
    id: Generated<string>
    kind: string
    scope_id: string | null
    subject_id: string | null
    key: string | null
    is_gone: Generated<boolean>
    checksum: Buffer | null
  }
  sync_session: { session_id: string }
  sync_checkpoint: {
    session_id: string
    type: string
    id: string
    extra: string | null
    begun_id: Generated<string>
  }
  activity: {
    id: Generated<string>
    album_id: string
    user_id: string
    asset_id: string | null
    /** Null: it is liked. */
    comment: string | null
    created_at: Timestamp
    updated_at: Timestamp
  }
  partner: {
    shared_by_id: string
    shared_with_id: string
    in_timeline: Generated<boolean>
    created_at: Timestamp
    updated_at: Timestamp
    create_id: Generated<string>
    update_id: Generated<string>
  }
  stack: {
    id: Generated<string>
    owner_id: string
    primary_asset_id: string
    created_at: Timestamp
    updated_at: Timestamp
    update_id: Generated<string>
  }
  asset_metadata: {
    asset_id: string
    key: string
    value: ColumnType<Record<string, unknown>, string, string>
    created_at: Timestamp
    updated_at: Timestamp
    owner_id: Generated<string>
    update_id: Generated<string>
  }
  tag: {
    id: Generated<string>
    owner_id: string
    parent_id: string | null
    value: string
    color: string | null
    created_at: Timestamp
    updated_at: Timestamp
  }
  tag_asset: { tag_id: string; asset_id: string; created_at: Timestamp }
  memory: {
    id: Generated<string>
    owner_id: string
    type: Generated<'on_this_day'>
    data: ColumnType<{ year: number }, string, string>
    is_saved: Generated<boolean>
    memory_at: Timestamp
    made_for: string | null
    show_at: NullableTimestamp
    hide_at: NullableTimestamp
    seen_at: NullableTimestamp
    created_at: Timestamp
    updated_at: Timestamp
    deleted_at: NullableTimestamp
    update_id: Generated<string>
  }
  memory_asset: {
    memory_id: string
    asset_id: string
    created_at: Timestamp
    update_id: Generated<string>
  }
  memory_progress: { owner_id: string; made_until: string }
  worker_heartbeat: { worker_id: string; beaten_at: Timestamp }
  paused_queue: { queue: string; paused_at: Timestamp; paused_by: string | null }
  job_schedule: { job: string; next_at: Timestamp }
  job_failure: {
    id: Generated<BigInt8>
    job: string
    queue: string
    payload: ColumnType<Record<string, unknown>, string, string>
    attempt: number
    error: string
    is_final: boolean
    at: Timestamp
    key: string | null
    code: Generated<string>
    solved_at: NullableTimestamp
  }
  outage: {
    id: Generated<BigInt8>
    location_id: string
    began_at: Timestamp
    ended_at: NullableTimestamp
    cause: string
    is_drill: Generated<boolean>
    waited: Generated<number>
  }
  archive_download: {
    id: Generated<string>
    owner_id: string
    asset_ids: string[]
    name: string
    total_bytes: BigInt8
    sent_bytes: Generated<BigInt8>
    state: Generated<'waiting' | 'running' | 'done' | 'failed' | 'cancelled'>
    error: string | null
    created_at: Timestamp
    updated_at: Timestamp
  }
}
