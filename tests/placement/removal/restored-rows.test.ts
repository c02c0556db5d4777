/**
 * Rows of an older snapshot that say "these bytes are to go", of a bucket where it has come out otherwise.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { freshKey, knownKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import { loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import type { Placement, PlacementSettings } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptBytes } from '../../../src/placement/replica-io/adopt-bytes.ts'
import type { Body, ObjectKey } from '../../../src/storage/backend.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { type LedgerSnapshot, restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { ingestBytes, locationOfBackend, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import {
  type ClassBucket,
  heldClasses,
  passClassTime,
  startClassBucket,
} from '../../support/storage/class-bucket.ts'

const MONTH_MS = 31 * 24 * 3_600_000
const KIB = 1024
/** A snapshot of less than a minute ago, which no counter tells, however slow the machine is. */
const UNNOTICED = { counterGoodForMs: 3_600_000 }

type Database = Awaited<ReturnType<typeof testDatabase>>
type Rig = Awaited<ReturnType<typeof testPlacement>>
let database: Database
let bucket: ClassBucket
let rig: Rig
const closing: (() => Promise<unknown>)[] = []
let aheadMs = 0

beforeEach(async () => {
  aheadMs = 0
  database = await testDatabase()
  closing.push(() => database.drop())
  bucket = await startClassBucket()
  closing.push(() => bucket.close())
  rig = await open()
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A process of its own on the bucket; without more also on the same ledger and disk, as after a restart. */
async function open(
  settings: Partial<PlacementSettings> = UNNOTICED,
  { db, mediaLocation }: { db?: Database['db']; mediaLocation?: string } = {},
): Promise<Rig> {
  const backend = openS3Backend(bucket.settings, silentLog)
  backend.useFeatures(bucket.location.backend.features)
  const shared = mediaLocation ?? rig?.mediaLocation
  const opened = await testPlacement(db ?? database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [locationOfBackend('bucket', 's3', backend)],
    classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] } },
    now: () => new Date(Date.now() + aheadMs),
    settings,
    ...(shared !== undefined && closing.length > 2 && { mediaLocation: shared }),
  })
  closing.push(() => opened.close())
  return opened
}

const bucketOf = ({ placement }: Rig) => placement.locations.get('bucket')!
const heldKeys = async () => [...(await heldClasses(bucket.server)).keys()].sort()
const countRows = async (table: 'class_change' | 'key_to_clear' | 'unfinished_upload') =>
  (await database.db.selectFrom(table).selectAll().execute()).length

async function offload(bytes: Buffer): Promise<string> {
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 'bucket' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  return id
}

async function keyOf(objectId: string): Promise<ObjectKey> {
  const { replicas } = (await loadObject(database.db, objectId))!
  assert.deepEqual(
    replicas.map(({ locationId, state }) => `${locationId} ${state}`),
    ['bucket verified'],
  )
  return replicas[0]!.key
}

async function keyAtBucket(objectId: string): Promise<ObjectKey> {
  const { replicas } = (await loadObject(database.db, objectId))!
  return replicas.find(({ locationId }) => locationId === 'bucket')!.key
}

async function read(placement: Placement, objectId: string): Promise<Buffer> {
  return buffer(await (await findServable(placement, objectId)).open())
}

async function sweepLater(placement: Placement): Promise<void> {
  await passClassTime(database.db)
  await sweepPlacement(placement)
}

const change = (objectId: string) => changeClass(rig.placement, { objectId, at: 'bucket' })

/**
 * The ledger at the moment when the copy is made and nothing says so; `after`: what becomes of the change
 * then.
 */
function snapshotBehindCopy(after: () => void): Promise<LedgerSnapshot> {
  const taken = Promise.withResolvers<LedgerSnapshot>()
  const location = bucketOf(rig)
  const { backend } = location
  location.backend = {
    ...backend,
    copies: {
      async copy(...given) {
        await backend.copies!.copy(...given)
        taken.resolve(await takeSnapshot(database.pool))
        after()
      },
    },
  }
  return taken.promise
}

test('A1: a class change under way in the snapshot, and done since: what the copy holds stays, and is the replica', async () => {
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  const before = await keyOf(id)
  aheadMs = MONTH_MS
  const taken = snapshotBehindCopy(() => undefined)
  await change(id)
  const after = await keyOf(id)
  await sweepLater(rig.placement)
  assert.deepEqual(await heldKeys(), [after], 'the old bytes are gone')

  await restoreSnapshot(database.pool, await taken)
  assert.equal(await keyOf(id), before)
  const { placement } = await open()
  await sweepLater(placement)
  // Somebody may have asked for the removal of what lies under the keys that the row names.
  const kept = await keyOf(id)
  assert.ok(![before, after].includes(kept))
  assert.deepEqual(await heldKeys(), [kept])
  assert.deepEqual(await read(placement, id), bytes)
  // What is left of the row ends, and the replica stays.
  await sweepLater(placement)
  await sweepLater(placement)
  assert.equal(await countRows('class_change'), 0)
  assert.deepEqual(await heldKeys(), [kept])
  assert.equal(await keyOf(id), kept)
  const { replicas } = (await loadObject(database.db, id))!
  assert.equal(replicas[0]!.storageClass, 'STANDARD_IA', 'nothing is copied once more')
})

test('A1: bytes that became the replica while a row dooms them stay, also where another copy would stand for them', async () => {
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  const before = await keyOf(id)
  aheadMs = MONTH_MS
  const taken = snapshotBehindCopy(() => undefined)
  await change(id)
  const after = await keyOf(id)
  await bucket.server.stored.vanish(before)
  await restoreSnapshot(database.pool, await taken)
  // As an administrator's adoption does it: the copy was found by a listing, the old bytes were not.
  const { placement } = await open()
  const found = { objectId: id, locationId: 'bucket', key: after }
  await suspectReplica(database.db, { ...found, key: before }, 'test')
  await database.db
    .transaction()
    .execute((tx) => adoptBytes(tx, found, { level: 4, proof: { method: 'read-back' }, actor: 'test' }))
  Object.assign(placement.policy, { original: ['bucket', 'local'] })
  await replicateObject(placement, { objectId: id, to: 'local' })
  await sweepLater(placement)
  await sweepLater(placement)
  await database.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(placement)
  assert.deepEqual(await heldKeys(), [after])
  assert.deepEqual(await placesOf(database.db, id), ['bucket verified', 'local verified'])
  assert.equal(await countRows('class_change'), 0)
  // And a purge comes to its end.
  await markForPurge(database.db, [id], 'user')
  await purgeObject(placement, { objectId: id })
  assert.deepEqual(await heldKeys(), [])
})

test('A1: a class change under way in the snapshot, and given up since: the old bytes stay', async () => {
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  const before = await keyOf(id)
  aheadMs = MONTH_MS
  const taken = snapshotBehindCopy(() => {
    throw new Error('the answer got lost')
  })
  await assert.rejects(change(id), /got lost/)
  await sweepLater(rig.placement)
  assert.deepEqual(await heldKeys(), [before], 'the copy is gone')

  await restoreSnapshot(database.pool, await taken)
  const { placement } = await open()
  await sweepLater(placement)
  await sweepLater(placement)
  assert.deepEqual(await heldKeys(), [before])
  assert.equal(await keyOf(id), before)
  assert.equal(await countRows('class_change'), 0)
  assert.deepEqual(await read(placement, id), bytes)
})

for (const [what, spoil] of [
  ['is gone', (key: string) => bucket.server.stored.vanish(key)],
  ['is short', (key: string) => bucket.server.stored.truncateStored(key)],
] as const) {
  test(`A1: a class change whose old bytes are to go, and the new one ${what}: the old bytes stay, under a fresh key`, async () => {
    const bytes = randomBytes(200 * KIB)
    const id = await offload(bytes)
    const before = await keyOf(id)
    aheadMs = MONTH_MS
    await change(id)
    const after = await keyOf(id)
    const snapshot = await takeSnapshot(database.pool)
    await spoil(after)

    await restoreSnapshot(database.pool, snapshot)
    const { placement } = await open()
    await sweepLater(placement)
    const kept = await keyOf(id)
    assert.ok(![before, after].includes(kept))
    assert.ok((await heldKeys()).includes(kept))
    await sweepLater(placement)
    assert.ok((await heldKeys()).includes(kept))
    assert.equal(await keyOf(id), kept)
    assert.deepEqual(await read(placement, id), bytes)
  })
}

test('A1: a class change whose old bytes are to go waits while the new ones can not be looked at', async () => {
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  const before = await keyOf(id)
  aheadMs = MONTH_MS
  await change(id)
  const after = await keyOf(id)
  const { placement } = await open()
  const status = { kind: 'status', status: 503, code: 'SlowDown' } as const
  for (const operation of ['HeadObject', 'GetObject'] as const)
    bucket.server.faults.add({ match: { operation, key: after }, fault: status })
  await sweepLater(placement)
  assert.deepEqual(await heldKeys(), [before, after].sort())
  assert.equal(await countRows('class_change'), 1)
  bucket.server.faults.clear()
  await sweepLater(placement)
  assert.deepEqual(await heldKeys(), [after])
  assert.deepEqual(await read(placement, id), bytes)
})

function bodyOf(bytes: Buffer): Body {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return {
    size: bytes.length,
    digests: [{ algorithm: 'sha256', value: sha256 }],
    open: (range) => Readable.from([bytes.subarray(range?.start ?? 0, (range?.end ?? bytes.length - 1) + 1)]),
  }
}

/** A key of the object that the snapshot wants to have cleared, and what the bucket holds under it. */
async function putToClear(objectId: string, bytes: Buffer): Promise<ObjectKey> {
  const { object } = (await loadObject(database.db, objectId))!
  const key = freshKey({ ...object, extension: 'jpg' })
  await noteKeyToClear(database.db, { objectId, locationId: 'bucket', key }, 0)
  await bucketOf(rig).backend.put(key, bodyOf(bytes), {})
  return key
}

test('A1: a key to clear that holds right bytes, which nothing else stands for, becomes the replica', async () => {
  const bytes = randomBytes(50 * KIB)
  const id = await ingestBytes(rig.placement, bytes)
  const key = await putToClear(id, bytes)
  const snapshot = await takeSnapshot(database.pool)
  // Since then the local file was given up for it.
  const { replicas } = (await loadObject(database.db, id))!
  await rm(rig.placement.local.backend.localFiles!.path(replicas[0]!.key))
  await restoreSnapshot(database.pool, snapshot)

  const { placement } = await open()
  await sweepPlacement(placement)
  assert.deepEqual(await placesOf(database.db, id), ['bucket verified', 'local verified'])
  const kept = await keyAtBucket(id)
  assert.notEqual(kept, key)
  assert.deepEqual(await heldKeys(), [key, kept].sort())
  assert.deepEqual(await read(placement, id), bytes)
  // The cleared key is looked at again: now the replica stands for what lies there.
  await database.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(placement)
  assert.deepEqual(await heldKeys(), [kept])
  assert.deepEqual(await read(placement, id), bytes)
})

test('A1: a key to clear that holds right bytes is cleared where a verified copy stands for them now', async () => {
  const bytes = randomBytes(50 * KIB)
  const id = await offload(bytes)
  const kept = await keyOf(id)
  const key = await putToClear(id, bytes)
  const snapshot = await takeSnapshot(database.pool)
  await restoreSnapshot(database.pool, snapshot)
  const { placement } = await open()
  assert.equal((await sweepPlacement(placement)).clearedKeys, 1)
  assert.deepEqual(await heldKeys(), [kept])
  assert.deepEqual(await read(placement, id), bytes)

  // The same, and that copy is gone: then these bytes are what there is.
  const again = await putToClear(id, bytes)
  assert.notEqual(again, key)
  await bucket.server.stored.vanish(kept)
  await sweepPlacement(placement)
  await database.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(placement)
  const anew = await keyOf(id)
  assert.ok(![kept, key, again].includes(anew))
  assert.deepEqual(await read(placement, id), bytes)
  await database.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(placement)
  assert.deepEqual(await heldKeys(), [anew])
  assert.deepEqual(await read(placement, id), bytes)
})

test('A1: a key to clear that holds wrong bytes is cleared only where a verified copy was looked at now', async () => {
  const bytes = randomBytes(50 * KIB)
  const id = await offload(bytes)
  const kept = await keyOf(id)
  const key = await putToClear(id, randomBytes(50 * KIB))
  const snapshot = await takeSnapshot(database.pool)
  await bucket.server.stored.vanish(kept)
  await restoreSnapshot(database.pool, snapshot)
  const { placement } = await open()
  await sweepPlacement(placement)
  assert.deepEqual(await heldKeys(), [key], 'wrong, and all that there is')
  assert.deepEqual(await placesOf(database.db, id), ['bucket suspect'])

  // Another file, whose copy is there.
  const other = await offload(bytes)
  const right = await keyOf(other)
  const wrong = await putToClear(other, randomBytes(50 * KIB))
  await sweepPlacement(placement)
  const held = await heldKeys()
  assert.ok(held.includes(right) && !held.includes(wrong))
})

async function expireUploads({ pool }: Pick<Database, 'pool'>): Promise<void> {
  await pool.query(`update unfinished_upload set lease_expires_at = now() - interval '1 minute'`)
}

test('A1: an upload in parts of the other ledger, which is alive, is not aborted by one that does not own the place', async () => {
  const other = await testDatabase()
  closing.push(() => other.drop())
  const { multipart } = bucketOf(rig).backend
  const key = knownKey('users/a/b/original.upload.mp4')
  const { uploadId } = await multipart!.begin(key, {})
  const row = { location_id: 'bucket', key, upload_id: uploadId }
  await database.db
    .insertInto('unfinished_upload')
    .values({ ...row, lease_expires_at: new Date(Date.now() + 3_600_000) })
    .execute()

  const snapshot = await takeSnapshot(database.pool)
  await restoreSnapshot(other.pool, snapshot)
  await expireUploads(other)
  const folder = await mkdtemp(join(tmpdir(), 'glassine-copy-'))
  closing.push(() => rm(folder, { recursive: true, force: true }))
  const mediaLocation = join(folder, 'media')
  await cp(rig.mediaLocation, mediaLocation, { recursive: true })
  const copy = await open({ counterGoodForMs: 0 }, { db: other.db, mediaLocation })
  const isUnderWay = async () =>
    (await bucket.server.stored.unfinishedUploads()).some((one) => one.id === uploadId)
  assert.equal((await sweepPlacement(copy.placement)).abandonedUploads, 0, 'it waits')
  assert.ok(await isUnderWay())
  // The original goes on, which shows the copy that it is one.
  const original = await open({ counterGoodForMs: 0 })
  assert.equal((await sweepPlacement(copy.placement)).abandonedUploads, 0, 'it has seen the original')
  assert.ok(await isUnderWay())
  const { rows } = await other.pool.query(
    `select c.conflict, u.upload_id from location_counter c, unfinished_upload u where c.location_id = 'bucket'`,
  )
  assert.deepEqual(rows, [{ conflict: 'another-ledger', upload_id: uploadId }])

  // The same row, of a writer that died, where the place is its own.
  await expireUploads(database)
  assert.equal((await sweepPlacement(original.placement)).abandonedUploads, 1)
  assert.ok(!(await isUnderWay()))
})
