import { type Field, lineSql, quote } from './line.ts'
import { ackSql, afterCheckpoint, type Part, removals, type Sync, upserts, uuidSql } from './parts.ts'

const USER: readonly Field[] = [
  ['id', 'uuid', 'app_user.id'],
  ['name', 'text', 'app_user.name'],
  ['email', 'text', 'app_user.email'],
  ['avatarColor', 'text', 'app_user.avatar_color'],
  ['deletedAt', 'time', 'app_user.deleted_at'],
  ['hasProfileImage', 'boolean', 'app_user.profile_image_object_id is not null'],
  ['profileChangedAt', 'time', 'app_user.profile_changed_at'],
]

const OWN_USER: readonly Field[] = [
  ...USER,
  ['isAdmin', 'boolean', 'app_user.is_admin'],
  // There is neither here.
  ['pinCode', 'json', `'null'`],
  ['oauthId', 'json', `'""'`],
  ['storageLabel', 'text', 'app_user.storage_label'],
  ['quotaSizeInBytes', 'number', 'app_user.quota_bytes'],
  [
    'quotaUsageInBytes',
    'number',
    '(select coalesce(sum(file_size), 0)::bigint from asset where owner_id = app_user.id)',
  ],
]

/**
 * The user's own row. What they use changes with their assets: an upload that wrote to a row of the user's would make
 * all uploads of theirs wait for each other.
 */
export function* authUsers(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  const line = lineSql('AuthUserV1', OWN_USER, ackSql(sync, 'changed.id'))
  yield {
    select: `select ${line} from app_user,
      lateral (select greatest(app_user.own_update_id,
        (select asset.update_id from asset where owner_id = ${me} order by asset.update_id desc limit 1),
        (select removal.id from sync_removal removal where kind = 'asset' and scope_id = ${me}
         order by removal.id desc limit 1)) as id) as changed
      where app_user.id = ${me}${afterCheckpoint(sync, 'AuthUserV1', 'changed.id')}`,
  }
}

/** Everybody on the server, the deleted too: rows of theirs may be in shared albums. */
export function* users(sync: Sync): Generator<Part> {
  yield removals(sync, {
    type: 'UserDeleteV1',
    kind: 'user',
    scope: 'removal.scope_id is null',
    fields: [['userId', 'uuid', 'removal.subject_id']],
  })
  yield upserts(sync, { type: 'UserV1', fields: USER, id: 'app_user.update_id', from: 'app_user where true' })
}

/** What the user has set: preferences that differ from the defaults, and whether they were shown around. */
export function* userMetadata(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  yield removals(sync, {
    type: 'UserMetadataDeleteV1',
    kind: 'user_metadata',
    scope: `removal.scope_id = ${me}`,
    fields: [
      ['userId', 'uuid', 'removal.scope_id'],
      ['key', 'word', 'removal.key'],
    ],
  })
  yield upserts(sync, {
    type: 'UserMetadataV1',
    fields: [
      ['userId', 'uuid', 'app_user.id'],
      ['key', 'word', 'metadata.key'],
      ['value', 'json', 'metadata.value::text'],
    ],
    id: 'metadata.id',
    from: `app_user, lateral (values
        (${quote('preferences')}, nullif(preferences, '{}'), preferences_update_id),
        (${quote('onboarding')}, case when is_onboarded is not null then jsonb_build_object('isOnboarded', is_onboarded) end,
          onboarding_update_id)) as metadata (key, value, id)
      where app_user.id = ${me} and metadata.value is not null`,
  })
}
