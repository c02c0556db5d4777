/** What a phone shows of partners, stacks, memories and metadata, held against the API and the database. */
import assert from 'node:assert/strict'
import type { Member, World } from './phone-world.ts'

export async function assertPhoneShowsPeople(
  { server }: World,
  { userId, clients, phone }: Member,
): Promise<{ partnerAssets: string[] }> {
  const api = clients[0]!
  const fromPhone = (statement: string) => phone.rows(statement).map((row) => ({ ...row }))
  const fromDatabase = async (statement: string) => (await server.pool.query(statement, [userId])).rows

  assert.deepEqual(
    fromPhone('select sharedById, sharedWithId, inTimeline from partner order by sharedById, sharedWithId'),
    await fromDatabase(`select shared_by_id as "sharedById", shared_with_id as "sharedWithId",
      in_timeline::int as "inTimeline" from partner where $1 in (shared_by_id, shared_with_id) order by 1, 2`),
    'partners',
  )
  const partnerAssets = await fromDatabase(`select id, stack_id as "stackId" from asset where owner_id in (
    select shared_by_id from partner where shared_with_id = $1) order by id`)
  assert.deepEqual(
    fromPhone(`select id, stackId from remote_asset where ownerId in (
      select sharedById from partner where sharedWithId = '${userId}') order by id`),
    partnerAssets,
    "partners' assets",
  )
  assert.deepEqual(
    fromPhone(`select id, stackId from remote_asset where ownerId = '${userId}' order by id`),
    await fromDatabase('select id, stack_id as "stackId" from asset where owner_id = $1 order by id'),
    'which stack they are in',
  )

  const stacks = await api.json<{ id: string; primaryAssetId: string }[]>('/stacks')
  assert.deepEqual(
    fromPhone(`select id, primaryAssetId from stack where ownerId = '${userId}' order by id`),
    stacks
      .map(({ id, primaryAssetId }) => ({ id, primaryAssetId }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    'stacks',
  )
  const kept = new Map(
    phone
      .rows<{ id: string; primaryAssetId: string }>('select id, primaryAssetId from stack')
      .map(({ id, primaryAssetId }) => [id, primaryAssetId]),
  )
  // One that went while it was not shared stays, and holds nothing.
  const ofPartners = await fromDatabase(`select id, primary_asset_id from stack where owner_id in (
    select shared_by_id from partner where shared_with_id = $1)`)
  for (const { id, primary_asset_id } of ofPartners) assert.equal(kept.get(id), primary_asset_id)

  type Memory = { id: string; isSaved: boolean; seenAt?: string; data: object; assets: { id: string }[] }
  const memories = await api.json<Memory[]>('/memories')
  // Those of which something is to be seen: partners' assets while they share.
  const contents = phone.rows<{
    memoryId: string
    assetId: string
  }>(`select memoryId, assetId from memory_asset
    join remote_asset asset on asset.id = assetId
    where asset.deletedAt is null and visibility = 'timeline' and (ownerId = '${userId}' or ownerId in (
      select sharedById from partner join user on user.id = sharedById
      where sharedWithId = '${userId}' and user.deletedAt is null))
    order by memoryId, assetId`)
  assert.deepEqual(
    contents.map((row) => ({ ...row })),
    memories
      .flatMap(({ id, assets }) => assets.map((asset) => ({ memoryId: id, assetId: asset.id })))
      .toSorted((a, b) => (a.memoryId + a.assetId < b.memoryId + b.assetId ? -1 : 1)),
    'what is in memories',
  )
  assert.deepEqual(
    fromPhone('select id, isSaved, seenAt, data from memory order by id'),
    await fromDatabase(`select id, is_saved::int as "isSaved", data::text as data,
      to_char(seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "seenAt"
      from memory where owner_id = $1 order by id`).then((rows) =>
      rows.map(({ data, ...row }) => ({ ...row, data: JSON.stringify(JSON.parse(data)) })),
    ),
    'memories',
  )
  assert.deepEqual(
    fromPhone('select assetId, cloudId, latitude from remote_asset_cloud_id order by assetId'),
    await fromDatabase(`select asset_id as "assetId", value ->> 'iCloudId' as "cloudId",
      value ->> 'latitude' as latitude from asset_metadata
      where owner_id = $1 and key = 'mobile-app' order by asset_id`),
    'ids of iCloud',
  )
  return { partnerAssets: partnerAssets.map(({ id }) => id) }
}
