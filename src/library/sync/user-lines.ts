import { differenceFromImmich } from '../users/preferences.ts'
import { dataLine, type Field, lineSql } from './line.ts'
import {
  ackedId,
  ackSql,
  afterCheckpoint,
  type Part,
  removals,
  type Sync,
  upserts,
  uuidSql,
} from './parts.ts'

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
 * The user's own row. What they use changes with their assets: an upload that wrote to a row of the user's
 * would make all uploads of theirs wait for each other.
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

/** What differs from Immich's preferences, and whether the user was shown around. */
export async function* userMetadata(sync: Sync): AsyncGenerator<Part> {
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
  const type = 'UserMetadataV1'
  const [user] = await sync.query<MetadataRow>(
    `select preferences, preferences_update_id as "preferencesId", is_onboarded as "isOnboarded",
       onboarding_update_id as "onboardingId" from app_user where id = ${me}`,
  )
  if (user === undefined) return
  const { preferences, preferencesId, isOnboarded, onboardingId } = user
  const reached = sync.checkpoints.get(type)?.id ?? ''
  yield* [
    { key: 'preferences', value: differenceFromImmich(preferences), id: preferencesId },
    ...(isOnboarded === null ? [] : [{ key: 'onboarding', value: { isOnboarded }, id: onboardingId }]),
  ]
    .filter(({ id }) => id > reached)
    .toSorted((one, other) => (one.id < other.id ? -1 : 1))
    .map(({ key, value, id }) => ({
      line: dataLine(type, { userId: sync.userId, key, value }, ackedId(sync, id)),
    }))
}

type MetadataRow = {
  preferences: Record<string, unknown>
  preferencesId: string
  isOnboarded: boolean | null
  onboardingId: string
}
