/** What a phone shows, held against what the API shows its user. */
import assert from 'node:assert/strict'
import { assertPhoneShowsPeople } from './people-against-api.ts'
import type { Member, World } from './phone-world.ts'

type Asset = Record<string, unknown> & { id: string; exifInfo: Record<string, unknown> }
type Album = Record<string, unknown> & { id: string; albumUsers: { role: string; user: { id: string } }[] }

/** The fields that both have, as the API has them. */
const ASSET_FIELDS =
  'id ownerId type checksum fileCreatedAt fileModifiedAt localDateTime width height duration thumbhash isFavorite visibility livePhotoVideoId'.split(
    ' ',
  )
const EXIF_FIELDS =
  'make model lensModel exifImageWidth exifImageHeight orientation latitude longitude fNumber focalLength iso exposureTime city state country description projectionType rating'.split(
    ' ',
  )

export async function assertPhoneShowsApi(world: World, member: Member): Promise<void> {
  const { server } = world
  const { userId, clients, phone } = member
  const api = clients[0]!
  const ofAll = (
    await server.admin.json<{ id: string; deletedAt: string | null }[]>('/admin/users?withDeleted=true')
  )
    .map(({ id, deletedAt }) => ({ id, deletedAt }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  assert.deepEqual(rowsOf(phone.rows('select id, deletedAt from user order by id')), ofAll, 'users')

  const me = await api.json<Record<string, unknown>>('/users/me')
  assert.deepEqual(rowsOf(phone.rows('select id, name, email, quotaUsageInBytes from auth_user')), [
    { id: me.id, name: me.name, email: me.email, quotaUsageInBytes: me.quotaUsageInBytes },
  ])

  // Which exist, the API does not list in one answer; each is then asked for.
  const { rows: own } = await server.pool.query<{ id: string }>(
    'select id from asset where owner_id = $1 order by id',
    [userId],
  )
  const kept = phone.rows<{ id: string }>(
    `select id from remote_asset where ownerId = '${userId}' order by id`,
  )
  assert.deepEqual(rowsOf(kept), own, 'own assets')
  for (const { id } of own) await assertAsset(id)
  const { partnerAssets } = await assertPhoneShowsPeople(world, member)
  for (const id of partnerAssets) await assertAsset(id)

  async function assertAsset(id: string): Promise<void> {
    const response = await api.call(`/assets/${id}`)
    // Of others, what is in the trash or locked is not shown.
    if (!response.ok) return
    const asset = (await response.json()) as Asset
    const [row] = phone.rows<
      Record<string, unknown>
    >(`select *, name as originalFileName, createdAt as fileCreatedAt,
      updatedAt as fileModifiedAt, uploadedAt as createdAt_, thumbHash as thumbhash, durationMs as duration
      from remote_asset where id = '${id}'`)
    assert.ok(row, `the phone has no asset ${id}`)
    const found = Object.fromEntries(
      ASSET_FIELDS.map((name) => [name, name === 'isFavorite' ? row[name] === 1 : row[name]]),
    )
    assert.deepEqual(found, Object.fromEntries(ASSET_FIELDS.map((name) => [name, asset[name]])))
    assert.equal(row.deletedAt !== null, asset.isTrashed)
    assert.equal(row.originalFileName, asset.originalFileName)
    const [exif] = phone.rows<Record<string, unknown>>(`select * from remote_exif where assetId = '${id}'`)
    const { rowCount } = await server.pool.query('select from asset_exif where asset_id = $1', [id])
    if (rowCount === 0) return
    assert.ok(exif, `the phone has no metadata of ${id}`)
    assert.deepEqual(
      Object.fromEntries(EXIF_FIELDS.map((name) => [name, exif[name]])),
      Object.fromEntries(EXIF_FIELDS.map((name) => [name, asset.exifInfo[name]])),
    )
  }

  const albums = await api.json<Album[]>('/albums')
  // The API hides those of a deleted owner, and so does the app, which knows that they are.
  const shown = phone.rows<Record<string, unknown> & { id: string }>(`select album.* from remote_album album
    join remote_album_user owner on owner.albumId = album.id and role = 'owner'
    join user on user.id = owner.userId and user.deletedAt is null order by album.id`)
  assert.deepEqual(
    shown.map(({ id, name, description, updatedAt, order }) => ({ id, name, description, updatedAt, order })),
    albums
      .map(({ id, albumName, description, updatedAt, order }) => ({
        id,
        name: albumName,
        description,
        updatedAt,
        order,
      }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    'albums',
  )
  for (const album of albums) {
    assert.deepEqual(
      rowsOf(
        phone.rows(
          `select userId, role from remote_album_user where albumId = '${album.id}' order by userId`,
        ),
      ),
      album.albumUsers
        .map(({ role, user }) => ({ userId: user.id, role }))
        .toSorted((a, b) => (a.userId < b.userId ? -1 : 1)),
      'members',
    )
    const { rows: contents } = await server.pool.query<{ id: string }>(
      'select asset_id as id from album_asset where album_id = $1 order by asset_id',
      [album.id],
    )
    const inPhone = phone.rows<{ id: string }>(
      `select assetId as id from remote_album_asset where albumId = '${album.id}' order by assetId`,
    )
    assert.deepEqual(rowsOf(inPhone), contents, 'contents')
    const visible = phone.rows<{ count: number }>(`select count(*) as count from remote_album_asset
      join remote_asset asset on asset.id = assetId where albumId = '${album.id}' and deletedAt is null
      and visibility in ('timeline', 'archive')`)
    assert.equal(visible[0]!.count, album.assetCount, 'what the album shows')
    for (const { id } of contents) await assertAsset(id)
  }

  const preferences =
    await api.json<Record<'memories' | 'people', { enabled: boolean }>>('/users/me/preferences')
  const { isOnboarded } = await api.json<{ isOnboarded: boolean }>('/users/me/onboarding')
  const metadata = new Map(
    phone
      .rows<{ key: string; value: string }>(`select key, value from user_metadata where userId = '${userId}'`)
      .map(({ key, value }) => [key, JSON.parse(value) as Record<string, unknown>]),
  )
  // What the app is not told, it takes for true.
  for (const section of ['memories', 'people'] as const) {
    const told = metadata.get('preferences')?.[section] as { enabled?: boolean } | undefined
    assert.equal(told?.enabled ?? true, preferences[section].enabled)
  }
  assert.equal(metadata.get('onboarding')?.isOnboarded ?? false, isOnboarded)
}

/** SQLite's rows have no prototype. */
const rowsOf = (rows: unknown[]): unknown[] => rows.map((row) => ({ ...(row as object) }))
