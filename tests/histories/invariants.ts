/** What must hold after every step, and once the faults have ended. */
import assert from 'node:assert/strict'
import { type Model, type Photo, sha256Of } from './model.ts'
import type { World } from './world.ts'

type Row = {
  assetId: string | null
  objectId: string
  kind: string
  objectState: string
  locationId: string
  key: string
  state: string
  sha256: string
}

async function replicas({ database }: World): Promise<Row[]> {
  const { rows } = await database.pool.query<Row>(
    `select a.id as "assetId", o.id as "objectId", o.kind, o.state as "objectState", r.location_id as "locationId",
       r.key, r.state, encode(o.sha256, 'hex') as sha256
     from replica r join stored_object o on o.id = r.object_id left join asset a on a.original_object_id = o.id`,
  )
  return rows
}

/** Where right bytes of a photo lie that the ledger knows as a copy. */
export async function rightCopies(world: World, photo: Photo) {
  const found: { locationId: string; key: string; isVerified: boolean }[] = []
  for (const row of await replicas(world)) {
    if (row.assetId !== photo.assetId || !['verified', 'suspect'].includes(row.state)) continue
    const bytes = await world.bytesAt(row.locationId, row.key)
    if (bytes && sha256Of(bytes) === photo.sha256)
      found.push({ locationId: row.locationId, key: row.key, isVerified: row.state === 'verified' })
  }
  return found
}

/**
 * Nothing that was acknowledged is lost: right bytes lie at a place where the ledger would read them. And
 * what the ledger calls verified is right, unless the world has spoiled it since.
 */
export async function checkInvariants(world: World, model: Model): Promise<void> {
  const rows = await replicas(world)
  const readable = new Set<string>()
  for (const row of rows) {
    if (row.state !== 'verified' && row.state !== 'suspect') continue
    const bytes = await world.bytesAt(row.locationId, row.key)
    const isRight = bytes !== null && sha256Of(bytes) === row.sha256
    if (isRight && row.assetId !== null) readable.add(row.assetId)
    if (row.state !== 'verified' || row.objectState !== 'live') continue
    if (model.spoiled.has(`${row.locationId} ${row.key}`)) continue
    assert.ok(isRight, `${row.kind} ${row.objectId} is verified at ${row.locationId}, and wrong there`)
  }
  for (const { assetId } of model.photos)
    assert.ok(
      readable.has(assetId),
      `no right bytes of ${assetId} are left: ${JSON.stringify(rows.filter((row) => row.assetId === assetId))}`,
    )
}

/**
 * Once the faults have ended and all work is done: every photo has its two proven and right copies, none is
 * on the disk, nothing waits, and no bytes lie anywhere that no row names or that were deleted.
 */
export async function checkSettled(world: World, model: Model): Promise<void> {
  const rows = await replicas(world)
  for (const photo of model.photos) {
    const own = rows.filter((row) => row.assetId === photo.assetId)
    const places = own.map(({ locationId, state }) => `${locationId} ${state}`).sort()
    assert.deepEqual(places, ['s3 verified', 'second verified'], `the copies of ${photo.assetId}`)
    for (const { locationId, key } of own) {
      const bytes = await world.bytesAt(locationId, key)
      assert.ok(bytes?.equals(photo.bytes), `${photo.assetId} has wrong bytes at ${locationId}`)
    }
    const response = await world.client.call(`/assets/${photo.assetId}/original`)
    assert.equal(response.status, 200)
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(photo.bytes))
  }
  const kept = new Set(rows.map(({ sha256 }) => sha256))
  for (const sha256 of model.deleted) assert.ok(!kept.has(sha256), `${sha256} was deleted, and is kept`)
  for (const bucket of world.buckets) {
    const named = new Set(rows.filter((row) => row.locationId === bucket.id).map(({ key }) => key))
    for (const key of await world.keysAt(bucket))
      assert.ok(named.has(key), `${bucket.id}: no row names ${key}`)
    assert.deepEqual(await bucket.server.stored.unfinishedUploads(), [])
  }
  const states = new Set(rows.map(({ state }) => state))
  assert.deepEqual(
    [...states].filter((state) => state !== 'verified'),
    [],
  )
}
