/**
 * The ledger is an older snapshot of itself, or a copy: what the location holds is right, and the rows are
 * wrong.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement, PlacementSettings } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { adoptionOf, beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { planAdoption } from '../../../src/placement/takeover/plan-adoption.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { type LedgerSnapshot, restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { ingestBytes, locationOfBackend, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

type Database = Awaited<ReturnType<typeof testDatabase>>
let database: Database
let rig: Awaited<ReturnType<typeof testPlacement>>
const opened: Placement[] = []
const folders: string[] = []

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db)
})
afterEach(async () => {
  for (const placement of opened.splice(0)) await closePlacement(placement)
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
  await rig.close()
  await database.drop()
})

const s3 = () => rig.remotes.get('s3')!
const places = (id: string) => placesOf(database.db, id)

/**
 * Another process on the same places: after a restart, or, with another folder and database, a copy of the
 * installation.
 */
async function start(
  settings: Partial<PlacementSettings> = {},
  { db = database.db, mediaLocation = rig.mediaLocation } = {},
): Promise<Placement> {
  const placement = await openPlacement({
    db,
    log: silentLog,
    locations: [
      locationOfBackend('local', 'disk', openDiskBackend({ root: mediaLocation, log: silentLog })),
      locationOfBackend('s3', 'memory', s3().backend),
    ],
    localId: 'local',
    mediaLocation,
    policy: policyOf(['s3']),
    isAwaited: isOfUnendedUpload,
    settings: { removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0, ...settings },
  })
  opened.push(placement)
  return placement
}

async function offload(placement: Placement, objectId: string): Promise<void> {
  await replicateObject(placement, { objectId, to: 's3' })
  await evictReplica(placement, { objectId, from: 'local' })
}

/**
 * Five photos that were being offloaded when the snapshot was taken: their bytes are there, and nothing says
 * so.
 */
async function snapshotDuringOffloads(): Promise<{
  ids: string[]
  bytes: Buffer[]
  snapshot: LedgerSnapshot
}> {
  const bytes = Array.from({ length: 5 }, () => randomBytes(10_000))
  const ids: string[] = []
  for (const one of bytes) ids.push(await ingestBytes(rig.placement, one))
  const put = s3().backend.put
  let waiting = 0
  const all = Promise.withResolvers<LedgerSnapshot>()
  s3().backend.put = async (...args) => {
    const result = await put(...args)
    waiting += 1
    if (waiting === ids.length) all.resolve(await takeSnapshot(database.pool))
    await all.promise
    return result
  }
  await Promise.all(ids.map((objectId) => replicateObject(rig.placement, { objectId, to: 's3' })))
  s3().backend.put = put
  return { ids, bytes, snapshot: await all.promise }
}

async function expireLeases({ pool }: Pick<Database, 'pool'> = database): Promise<void> {
  await pool.query(
    `update replica set lease_expires_at = now() - interval '1 minute' where state = 'writing'`,
  )
}

async function readAll(placement: Placement, ids: readonly string[]): Promise<Buffer[]> {
  const read: Buffer[] = []
  for (const id of ids) read.push(await buffer(await (await findServable(placement, id)).open()))
  return read
}

test('A1: a snapshot from during five offloads is put back: what they put is looked at, and kept', async () => {
  const { ids, bytes, snapshot } = await snapshotDuringOffloads()
  for (const id of ids) await evictReplica(rig.placement, { objectId: id, from: 'local' })
  assert.deepEqual(await places(ids[0]!), ['s3 verified'])
  const held = [...s3().inner.held.keys()].sort()

  await restoreSnapshot(database.pool, snapshot)
  assert.deepEqual(await places(ids[0]!), ['local verified', 's3 writing'])
  await expireLeases()
  const restarted = await start()
  await sweepPlacement(restarted)
  assert.deepEqual([...s3().inner.held.keys()].sort(), held)
  for (const id of ids) assert.match((await places(id)).join(), /s3 verified/)
  // The local rows are wrong as well: nothing is there, and the other copy is served.
  for (const id of ids) await evictReplica(restarted, { objectId: id, from: 'local' })
  assert.deepEqual(await readAll(restarted, ids), bytes)
})

test('A1: an eviction that a snapshot caught in the middle is decided anew', async () => {
  const bytes = randomBytes(5_000)
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const remove = rig.disk.backend.delete
  let snapshot: LedgerSnapshot | undefined
  rig.disk.backend.delete = async (...args) => {
    snapshot = await takeSnapshot(database.pool)
    throw new Error(`killed before ${args.length}`)
  }
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 'local' }))
  rig.disk.backend.delete = remove
  await restoreSnapshot(database.pool, snapshot!)
  await database.pool.query(`update replica set lease_expires_at = now() - interval '1 minute'`)
  assert.deepEqual(await places(id), ['local evicting', 's3 verified'])
  // Meanwhile the bucket has lost it: the local bytes are the last ones.
  s3().inner.held.clear()
  const restarted = await start()
  await evictReplica(restarted, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['local verified', 's3 suspect'])
  assert.deepEqual(await readAll(restarted, [id]), [bytes])
})

test('A1: an upload that was not acknowledged when the snapshot was taken: its bytes are kept, and go for their twin', async () => {
  const bytes = randomBytes(4_000)
  const ownerId = '6f1e3c1e-0b5c-4b8e-9d6a-000000000001'
  let snapshot: LedgerSnapshot | undefined
  const { local } = rig.placement
  const adopt = local.backend.localFiles!.adopt
  local.backend.localFiles!.adopt = async (...args) => {
    const info = await adopt(...args)
    snapshot ??= await takeSnapshot(database.pool)
    return info
  }
  const id = await ingestBytes(rig.placement, bytes, { ownerId })
  local.backend.localFiles!.adopt = adopt
  await restoreSnapshot(database.pool, snapshot!)
  await expireLeases()
  await database.pool.query(`update stored_object set created_at = now() - interval '1 hour'`)
  const restarted = await start()
  await sweepPlacement(restarted)
  assert.deepEqual(await places(id), ['local verified'])
  assert.equal((await loadObject(database.db, id))!.object.state, 'live', 'nothing is asked to remove it')
  assert.deepEqual(await readFile(await pathOf(restarted, id)), bytes)

  // The client sends the file again: then the first one has served.
  const again = await ingestBytes(restarted, bytes, { ownerId })
  await database.pool.query(`update stored_object set kept_since = now() - interval '2 days' where id = $1`, [
    id,
  ])
  await sweepPlacement(restarted)
  await purgeObject(restarted, { objectId: id })
  assert.equal(await loadObject(database.db, id), null)
  assert.deepEqual(await readAll(restarted, [again]), [bytes])
})

async function pathOf(placement: Placement, objectId: string): Promise<string> {
  const loaded = await loadObject(placement.db, objectId)
  const replica = loaded!.replicas.find(({ locationId }) => locationId === 'local')!
  return placement.local.backend.localFiles!.path(replica.key)
}

test('A1: a snapshot that is older than a minute is known for one: nothing is written or removed until somebody decides', async () => {
  const { ids, bytes, snapshot } = await snapshotDuringOffloads()
  for (const id of ids) await evictReplica(rig.placement, { objectId: id, from: 'local' })
  const later = await ingestBytes(rig.placement, randomBytes(100))
  await offload(await start({ counterGoodForMs: 0 }), later)
  const held = new Map(s3().inner.held)

  await restoreSnapshot(database.pool, snapshot)
  await expireLeases()
  const restarted = await start({ counterGoodForMs: 0 })
  await sweepPlacement(restarted)
  for (const id of ids) {
    await assert.rejects(replicateObject(restarted, { objectId: id, to: 's3' }), {
      code: 'conflict',
      details: { ledger: 'another-ledger', location: 's3' },
    })
    await assert.rejects(
      evictReplica(restarted, { objectId: id, from: 'local' }),
      /another database|counter|conflict/,
    )
  }
  await assert.rejects(ingestAndPurge(restarted, ids[0]!))
  assert.deepEqual(s3().inner.held, held)

  const plan = await planAdoption(restarted, 's3')
  assert.deepEqual(
    [plan.held.count, plan.adopted.count, plan.unknown.count, plan.missing.count],
    [6, 5, 1, 0],
  )
  await beginAdoption(restarted, 's3', 'test')
  // Killed at the third entry, and run again: it goes on, and its counts are right in the end.
  const head = s3().backend.get
  let looks = 0
  s3().backend.get = async (...args) => {
    looks += 1
    if (looks === 3) throw new Error('killed')
    return head(...args)
  }
  await assert.rejects(adoptLocation(restarted, { locationId: 's3' }))
  s3().backend.get = head
  const report = await adoptLocation(await start({ counterGoodForMs: 0 }), { locationId: 's3' })
  assert.equal(report!.adopted.count + report!.confirmed.count, 5)
  assert.equal(report!.unknown.count, 1)
  assert.deepEqual(s3().inner.held, held, 'nothing is removed')
  assert.equal((await adoptionOf(database, 's3'))!.state, 'done')
  for (const id of ids) assert.match((await places(id)).join(), /s3 verified/)

  // The media volume is newer as well, and has given its files up.
  await assert.rejects(ingestBytes(restarted, randomBytes(10)), { code: 'unavailable' })
  await beginAdoption(restarted, 'local', 'test')
  assert.equal((await adoptLocation(restarted, { locationId: 'local' }))!.missing.count, 5)
  const after = await start({ counterGoodForMs: 0 })
  for (const id of ids) await evictReplica(after, { objectId: id, from: 'local' })
  assert.deepEqual(await readAll(after, ids), bytes)
})

async function ingestAndPurge(placement: Placement, objectId: string): Promise<void> {
  await placement.db.transaction().execute((tx) => markForPurge(tx, [objectId], 'user'))
  try {
    await purgeObject(placement, { objectId })
  } finally {
    // It lives on in this test: the user's decision is not what it is about.
    await database.pool.query('set session_replication_role = replica')
    await database.pool.query(`update stored_object set state = 'live', purge_reason = null where id = $1`, [
      objectId,
    ])
    await database.pool.query('set session_replication_role = origin')
  }
}

test('A2: a copy of the installation is started beside it: it waits, sees the original, and removes nothing', async () => {
  const { ids, bytes, snapshot } = await snapshotDuringOffloads()
  const other = await testDatabase()
  try {
    const folder = await mkdtemp(join(tmpdir(), 'glassine-copy-'))
    folders.push(folder)
    const copied = join(folder, 'media')
    await cp(rig.mediaLocation, copied, { recursive: true })
    await restoreSnapshot(other.pool, snapshot)
    await expireLeases(other)
    const copy = await start({ counterGoodForMs: 0 }, { db: other.db, mediaLocation: copied })
    const held = [...s3().inner.held.keys()].sort()
    await sweepPlacement(copy)
    await assert.rejects(replicateObject(copy, { objectId: ids[0]!, to: 's3' }), {
      code: 'unavailable',
      message: /moved or copied/,
    })
    // The original goes on: what it writes shows the copy that it is one.
    const original = await start({ counterGoodForMs: 0 })
    const late = await ingestBytes(original, randomBytes(100))
    await offload(original, late)
    for (const id of ids) await evictReplica(original, { objectId: id, from: 'local' })
    await sweepPlacement(copy)
    await assert.rejects(replicateObject(copy, { objectId: ids[0]!, to: 's3' }), {
      details: { ledger: 'another-ledger', location: 's3' },
    })
    await checkLocations(original)
    const { rows } = await database.pool.query(
      'select conflict from location_counter where conflict is not null',
    )
    assert.deepEqual(rows, [], 'the original is not blocked by its copy')
    for (const key of held) assert.ok(s3().inner.held.has(key))
    assert.deepEqual(await readAll(original, ids), bytes)
    // The copy reads on.
    assert.deepEqual(await readAll(copy, ids), bytes)
  } finally {
    for (const placement of opened.splice(0)) await closePlacement(placement)
    await other.drop()
  }
})

test('A4: put committed, answer lost, killed, and one bit of the local file flipped: the right bytes are adopted', async () => {
  const bytes = randomBytes(8_000)
  const id = await ingestBytes(rig.placement, bytes)
  s3().plan({ call: 'put', when: 'after' })
  s3().plan({ call: 'head', when: 'before' })
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
  assert.deepEqual(await places(id), ['local verified', 's3 writing'])
  const damaged = Buffer.from(bytes)
  damaged[17]! ^= 1
  await writeFile(await pathOf(rig.placement, id), damaged)
  await expireLeases()
  const restarted = await start()
  await replicateObject(restarted, { objectId: id, to: 's3' })
  assert.match((await places(id)).join(), /s3 verified/)
  await evictReplica(restarted, { objectId: id, from: 'local' })
  assert.deepEqual(await readAll(restarted, [id]), [bytes])
})

test('A8: nothing is removed at another bucket, and a purge waits for the right one', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(500))
  await offload(rig.placement, id)
  await database.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
  const right = s3().backend
  const wrong = openMemoryBackend()
  const elsewhere: Placement = {
    ...(await start()),
    locations: new Map([
      ['local', rig.placement.local],
      ['s3', locationOfBackend('s3', 'memory', wrong)],
    ]),
  }
  await assert.rejects(purgeObject(elsewhere, { objectId: id }), { code: 'conflict' })
  await sweepPlacement(elsewhere)
  assert.ok((await loadObject(database.db, id)) !== null, 'its row says that bytes are left')
  assert.equal(s3().inner.held.size, 1)
  s3().backend = right
  await purgeObject(await start(), { objectId: id })
  assert.equal(s3().inner.held.size, 0)
  assert.equal(await loadObject(database.db, id), null)
})

test('after a start nothing old goes for a while: whoever used the place until then has to notice first', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(500))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const waiting = await start({ removalWaitMs: 60_000, lateRequestMs: 0 })
  await assert.rejects(evictReplica(waiting, { objectId: id, from: 'local' }), RetryLater)
  // The bucket may still carry out what a killed process asked for, at keys of that time.
  const doubting = await start({ removalWaitMs: 0, lateRequestMs: 60_000 })
  await assert.rejects(evictReplica(doubting, { objectId: id, from: 'local' }), RetryLater)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  // What came since is nobody else's.
  const fresh = await ingestBytes(doubting, randomBytes(500))
  await offload(doubting, fresh)
  assert.deepEqual(await places(fresh), ['s3 verified'])
  await evictReplica(await start(), { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('A1: an upload that a snapshot caught in flight, and whose bytes moved on since, is not forgotten while its bucket has another ledger', async () => {
  const bytes = randomBytes(5_000)
  const adopt = rig.disk.backend.localFiles!.adopt
  let snapshot: LedgerSnapshot | undefined
  Object.assign(rig.placement.local.backend.localFiles!, {
    adopt: async (...args: Parameters<typeof adopt>) => {
      snapshot = await takeSnapshot(database.pool)
      return adopt(...args)
    },
  })
  const id = await ingestBytes(rig.placement, bytes)
  Object.assign(rig.placement.local.backend.localFiles!, { adopt })
  await offload(rig.placement, id)
  const other = await start({ counterGoodForMs: 0 })
  await closePlacement(opened.splice(opened.indexOf(other), 1)[0]!)

  await restoreSnapshot(database.pool, snapshot!)
  await expireLeases()
  await database.pool.query(`update stored_object set created_at = now() - interval '1 hour'`)
  const restored = await start()
  // The administrator begins with the disk.
  await beginAdoption(restored, 'local', 'test')
  await adoptLocation(restored, { locationId: 'local' })
  await sweepPlacement(restored)
  await beginAdoption(restored, 's3', 'test')
  assert.equal((await adoptLocation(restored, { locationId: 's3' }))!.adopted.count, 1)
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.deepEqual(await readAll(restored, [id]), [bytes])
})
