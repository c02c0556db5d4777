/**
 * A model of Immich's phone app: its tables, how it takes lines in, and when it acknowledges. It stops at the
 * first line that its tables refuse, as the app does, for good.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { Client } from '../client.ts'
import { PHONE_SCHEMA, REMOTE_TABLES } from './phone-schema.ts'
import { acknowledge, type Line, readStream } from './sync-client.ts'

/** What the app asks for, in an order of its own. */
export const APP_TYPES = [
  ...['AuthUsersV1', 'UsersV1', 'AssetsV2', 'AssetExifsV1', 'AssetEditsV1', 'AssetMetadataV1', 'PartnersV1'],
  ...[
    'PartnerAssetsV2',
    'PartnerAssetExifsV1',
    'AlbumsV2',
    'AlbumUsersV1',
    'AlbumAssetsV2',
    'AlbumAssetExifsV1',
  ],
  ...['AlbumToAssetsV1', 'MemoriesV1', 'MemoryToAssetsV1', 'StacksV1', 'PartnerStacksV1', 'UserMetadataV1'],
  ...['PeopleV1', 'AssetFacesV2', 'AssetOcrV1'],
]

type Data = Record<string, unknown>
type Row = Record<string, SQLInputValue>

/** By table: the fields that it knows certain values of only. */
const ENUMS: Record<string, Record<string, readonly string[]>> = {
  remote_asset: {
    type: ['IMAGE', 'VIDEO', 'AUDIO', 'OTHER'],
    visibility: ['timeline', 'archive', 'hidden', 'locked'],
  },
  remote_album: { order: ['asc', 'desc'] },
  remote_album_user: { role: ['owner', 'editor', 'viewer'] },
  memory: { type: ['on_this_day'] },
  user_metadata: { key: ['preferences', 'onboarding', 'license'] },
}
/** The only key of assets' metadata that it keeps. */
const CLOUD_ID = 'mobile-app'

const asset = (data: Data): Row => ({
  ...pick(
    data,
    'id type checksum isFavorite ownerId visibility isEdited deletedAt localDateTime width height',
  ),
  ...pick(data, 'stackId livePhotoVideoId libraryId'),
  name: data.originalFileName as string,
  createdAt: data.fileCreatedAt as string,
  updatedAt: data.fileModifiedAt as string,
  uploadedAt: data.createdAt as string,
  thumbHash: data.thumbhash as string,
  durationMs: data.duration as number,
})
const exif = (data: Data): Row => data as Row
const user = (data: Data): Row => ({
  ...pick(data, 'id name email hasProfileImage profileChangedAt'),
  avatarColor: (data.avatarColor as string) ?? 'primary',
})
const albumUser = (data: Data): Row => pick(data, 'albumId userId role')
const albumAsset = (data: Data): Row => pick(data, 'albumId assetId')
/** Its map of values has no room for a null. */
function cloudId({ assetId, value }: Data): Row {
  const { iCloudId, ...more } = value as Row
  if (Object.values(value as Row).includes(null)) throw new Error('a value is null')
  return { assetId: assetId as string, cloudId: iCloudId ?? null, ...more }
}

type Store = { table: string; keys: string[]; row?: (data: Data) => Row; isKept?: boolean }
const ASSET: Store = { table: 'remote_asset', keys: ['id'], row: asset }
const EXIF: Store = { table: 'remote_exif', keys: ['assetId'], row: exif }
const ALBUM_USER: Store = { table: 'remote_album_user', keys: ['albumId', 'userId'], row: albumUser }
const STACK: Store = {
  table: 'stack',
  keys: ['id'],
  row: (data) => pick(data, 'id createdAt updatedAt ownerId primaryAssetId'),
}
const ALBUM_ASSET: Store = {
  table: 'remote_album_asset',
  keys: ['assetId', 'albumId'],
  row: albumAsset,
  isKept: true,
}

/** Lines that are written, and into what. */
const UPSERTS: Record<string, Store> = {
  AuthUserV1: {
    table: 'auth_user',
    keys: ['id'],
    row: (data) => ({
      ...user(data),
      ...pick(data, 'isAdmin quotaUsageInBytes pinCode'),
      quotaSizeInBytes: (data.quotaSizeInBytes as number) ?? 0,
    }),
  },
  UserV1: { table: 'user', keys: ['id'], row: (data) => ({ ...user(data), ...pick(data, 'deletedAt') }) },
  UserMetadataV1: {
    table: 'user_metadata',
    keys: ['userId', 'key'],
    row: (data) => ({ ...pick(data, 'userId key'), value: JSON.stringify(data.value) }),
  },
  AssetV2: ASSET,
  PartnerAssetV2: ASSET,
  PartnerAssetBackfillV2: ASSET,
  AlbumAssetCreateV2: ASSET,
  AlbumAssetUpdateV2: ASSET,
  AlbumAssetBackfillV2: ASSET,
  AssetExifV1: EXIF,
  PartnerAssetExifV1: EXIF,
  PartnerAssetExifBackfillV1: EXIF,
  AlbumAssetExifCreateV1: EXIF,
  AlbumAssetExifUpdateV1: EXIF,
  AlbumAssetExifBackfillV1: EXIF,
  AlbumV2: {
    table: 'remote_album',
    keys: ['id'],
    row: (data) =>
      pick(data, 'id name description createdAt updatedAt thumbnailAssetId isActivityEnabled order'),
  },
  AlbumUserV1: ALBUM_USER,
  AlbumUserBackfillV1: ALBUM_USER,
  AlbumToAssetV1: ALBUM_ASSET,
  AlbumToAssetBackfillV1: ALBUM_ASSET,
  PartnerV1: {
    table: 'partner',
    keys: ['sharedById', 'sharedWithId'],
    row: (data) => pick(data, 'sharedById sharedWithId inTimeline'),
  },
  StackV1: STACK,
  PartnerStackV1: STACK,
  PartnerStackBackfillV1: STACK,
  MemoryV1: {
    table: 'memory',
    keys: ['id'],
    row: (data) => ({
      ...pick(data, 'id createdAt updatedAt deletedAt ownerId type isSaved memoryAt seenAt showAt hideAt'),
      data: JSON.stringify(data.data),
    }),
  },
  MemoryToAssetV1: {
    table: 'memory_asset',
    keys: ['assetId', 'memoryId'],
    row: (data) => pick(data, 'assetId memoryId'),
    isKept: true,
  },
  AssetMetadataV1: { table: 'remote_asset_cloud_id', keys: ['assetId'], row: cloudId },
}
/** Lines that remove, from which table, and by which fields. */
const DELETES: Record<string, [table: string, fields: Record<string, string>]> = {
  UserDeleteV1: ['user', { id: 'userId' }],
  UserMetadataDeleteV1: ['user_metadata', { userId: 'userId', key: 'key' }],
  AssetDeleteV1: ['remote_asset', { id: 'assetId' }],
  PartnerAssetDeleteV1: ['remote_asset', { id: 'assetId' }],
  AlbumDeleteV1: ['remote_album', { id: 'albumId' }],
  AlbumUserDeleteV1: ['remote_album_user', { albumId: 'albumId', userId: 'userId' }],
  AlbumToAssetDeleteV1: ['remote_album_asset', { albumId: 'albumId', assetId: 'assetId' }],
  PartnerDeleteV1: ['partner', { sharedById: 'sharedById', sharedWithId: 'sharedWithId' }],
  StackDeleteV1: ['stack', { id: 'stackId' }],
  PartnerStackDeleteV1: ['stack', { id: 'stackId' }],
  MemoryDeleteV1: ['memory', { id: 'memoryId' }],
  MemoryToAssetDeleteV1: ['memory_asset', { memoryId: 'memoryId', assetId: 'assetId' }],
  AssetMetadataDeleteV1: ['remote_asset_cloud_id', { assetId: 'assetId' }],
}

export type Phone = {
  /**
   * Syncs once, and once more after a reset. `cutAfter`: the app is killed when it has taken in so many
   * groups of lines; of the last one it has not sent the acknowledgement. Returns the types of the lines.
   */
  sync(client: Pick<Client, 'call'>, options?: { cutAfter?: number | undefined }): Promise<string[]>
  rows<T = Row>(statement: string): T[]
  close(): void
}

export function openPhone(): Phone {
  const db = new DatabaseSync(':memory:')
  db.exec(PHONE_SCHEMA)

  function apply(group: readonly Line[]): void {
    db.exec('begin')
    try {
      for (const line of group) take(line)
      db.exec('commit')
    } catch (error) {
      db.exec('rollback')
      throw new Error(`the phone refuses ${JSON.stringify(group)}`, { cause: error })
    }
  }

  function take({ type, data }: Line): void {
    const upsert = UPSERTS[type]
    const removal = DELETES[type]
    if (type === 'SyncAckV1' || type === 'SyncCompleteV1') return
    if (type.startsWith('AssetMetadata') && data.key !== CLOUD_ID) return
    if (type === 'SyncResetV1') for (const table of REMOTE_TABLES) db.exec(`delete from ${table}`)
    else if (upsert !== undefined) write(upsert, data)
    else if (removal !== undefined) remove(removal, data)
    else throw new Error(`the app knows no line of the type ${type}`)
  }

  function write({ table, keys, row, isKept = false }: Store, data: Data): void {
    for (const [name, allowed] of Object.entries(ENUMS[table] ?? {}))
      if (!allowed.includes(String(data[name]))) throw new Error(`${name}: ${String(data[name])}`)
    const values = Object.entries(row!(data)).map(([name, value]) => [name, asSql(value)] as const)
    const names = values.map(([name]) => `"${name}"`)
    const set = names.map((name) => `${name} = excluded.${name}`)
    db.prepare(
      `insert into ${table} (${names.join()}) values (${names.map(() => '?').join()})
       on conflict (${keys.join()}) do ${isKept ? 'nothing' : `update set ${set.join()}`}`,
    ).run(...values.map(([, value]) => value))
  }

  function remove([table, fields]: (typeof DELETES)[string], data: Data): void {
    const names = Object.keys(fields)
    db.prepare(`delete from ${table} where ${names.map((name) => `${name} = ?`).join(' and ')}`).run(
      ...names.map((name) => data[fields[name]!] as string),
    )
  }

  async function stream(client: Pick<Client, 'call'>, cutAfter: number): Promise<string[]> {
    const lines = await readStream(client, APP_TYPES)
    let taken = 0
    for (const group of groupsOf(lines)) {
      apply(group)
      if (++taken > cutAfter) return lines.map(({ type }) => type)
      await acknowledge(client, [group.at(-1)!.ack])
    }
    return lines.map(({ type }) => type)
  }

  return {
    async sync(client, { cutAfter = Number.POSITIVE_INFINITY } = {}) {
      const types = await stream(client, cutAfter)
      return types[0] === 'SyncResetV1' ? [...types, ...(await stream(client, cutAfter))] : types
    },
    rows: <T>(statement: string) => db.prepare(statement).all() as T[],
    close: () => db.close(),
  }
}

/** Lines that follow each other and have the same type. */
function groupsOf(lines: readonly Line[]): Line[][] {
  const groups: Line[][] = []
  for (const line of lines) {
    const last = groups.at(-1)
    if (last !== undefined && last[0]!.type === line.type) last.push(line)
    else groups.push([line])
  }
  return groups
}

function pick(data: Data, names: string): Row {
  return Object.fromEntries(names.split(' ').map((name) => [name, data[name] as SQLInputValue]))
}

function asSql(value: SQLInputValue | boolean): SQLInputValue {
  return typeof value === 'boolean' ? Number(value) : value
}
