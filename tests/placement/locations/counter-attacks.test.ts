/** Attacks on the counter that a location and its ledger share, and on what is removed by it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import {
  beginOwning,
  endOwning,
  forgetLooks,
} from '../../../src/placement/locations/counter/confirmations.ts'
import { forgetSeen, nameHolder } from '../../../src/placement/locations/counter/moved-installation.ts'
import { confirmLocation, lookAtLocation } from '../../../src/placement/locations/locations.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement, PlacementSettings } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { ingestBytes, locationOfBackend, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

type Database = Awaited<ReturnType<typeof testDatabase>>
let database: Database
let rig: Awaited<ReturnType<typeof testPlacement>>
const opened: Placement[] = []

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db)
})
afterEach(async () => {
  for (const placement of opened.splice(0)) await closePlacement(placement)
  await rig.close()
  await database.drop()
})

const s3 = () => rig.remotes.get('s3')!
const places = (id: string) => placesOf(database.db, id)
const conflicts = async () =>
  (await database.pool.query('select location_id, conflict from location_counter where conflict is not null'))
    .rows

/** Another process on the same places. */
async function start(settings: Partial<PlacementSettings> = {}, { db } = database): Promise<Placement> {
  const placement = await openPlacement({
    db,
    log: silentLog,
    locations: [
      locationOfBackend('local', 'disk', openDiskBackend({ root: rig.mediaLocation, log: silentLog })),
      locationOfBackend('s3', 'memory', s3().backend),
    ],
    localId: 'local',
    mediaLocation: rig.mediaLocation,
    policy: policyOf(['s3']),
    isAwaited: isOfUnendedUpload,
    settings: { removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0, ...settings },
  })
  opened.push(placement)
  return placement
}

test('an adoption that another server cut short can be begun again', async () => {
  const snapshot = await takeSnapshot(database.pool)
  const other = await testDatabase()
  try {
    await restoreSnapshot(other.pool, snapshot)
    await start({ counterGoodForMs: 0 })
    const wrong = await start({ counterGoodForMs: 0 }, other)
    await beginAdoption(wrong, 's3', 'test')
    // It was the wrong server: the administrator takes the place back, and then decides otherwise.
    const right = await start({ counterGoodForMs: 0 })
    await assert.rejects(confirmLocation(right, right.locations.get('s3')!), { code: 'conflict' })
    await beginAdoption(right, 's3', 'test')
    await assert.rejects(adoptLocation(wrong, { locationId: 's3' }), { code: 'conflict' })
    await beginAdoption(wrong, 's3', 'test')
    assert.ok(await adoptLocation(wrong, { locationId: 's3' }))
    const again = await start({ counterGoodForMs: 0 }, other)
    await confirmLocation(again, again.locations.get('s3')!)
  } finally {
    for (const placement of opened.splice(0)) await closePlacement(placement)
    await other.drop()
  }
})

test('a disk that is too full for its counter can be emptied', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const full = await start({ counterGoodForMs: 0 })
  full.local.backend.writeCounter = async () => {
    throw new StorageError('too-large', 'ENOSPC')
  }
  await evictReplica(full, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('what was found under an old key is not relied on while a deletion of it may be on its way', async () => {
  const bytes = randomBytes(1_000)
  const id = await ingestBytes(rig.placement, bytes)
  const { object } = (await loadObject(database.db, id))!
  const key = freshKey(object)
  s3().inner.held.set(key, { bytes, modifiedAt: new Date() })
  const started = await start({ lateRequestMs: 3_600_000 })
  await noteKeyToClear(database.db, { objectId: id, locationId: 's3', key }, -1)
  await sweepPlacement(started)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  await assert.rejects(evictReplica(started, { objectId: id, from: 'local' }), RetryLater)
})

test('a location is confirmed again after a look that took long, before anything is removed there', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const placement = await start({ counterGoodForMs: 0 })
  const head = s3().backend.head
  s3().backend.head = async (...args) => {
    const held = await head(...args)
    // Meanwhile another ledger takes the disk over.
    await database.pool.query(
      `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 'local'`,
    )
    return held
  }
  await assert.rejects(evictReplica(placement, { objectId: id, from: 'local' }), { code: 'conflict' })
  s3().backend.head = head
  const { replicas } = (await loadObject(database.db, id))!
  const local = replicas.find(({ locationId }) => locationId === 'local')!
  assert.ok(await placement.local.backend.head(local.key), 'the bytes are there')
})

test('a read at another bucket of the same name makes nothing suspect', async () => {
  const bytes = randomBytes(3_000_000)
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  const placement = await start()
  const wrong = openMemoryBackend()
  await wrong.writeMarker('6f1e3c1e-0b5c-4b8e-9d6a-000000000009')
  const right = placement.locations.get('s3')!.backend
  placement.locations.get('s3')!.backend = wrong
  await assert.rejects(async () => buffer(await (await findServable(placement, id)).open()))
  assert.deepEqual(await places(id), ['s3 verified'])
  Object.assign(placement.policy, { original: ['local'] })
  await assert.rejects(replicateObject(placement, { objectId: id, to: 'local' }))
  assert.deepEqual(await places(id), ['s3 verified'])
  placement.locations.get('s3')!.backend = right
  assert.deepEqual(await buffer(await (await findServable(placement, id)).open()), bytes)
})

test('processes of one ledger that see the media volume as two do not take each other for a copy', async () => {
  // Long enough for the other one to write down what it has put, on a busy machine as well.
  const settings = { counterGoodForMs: 0, counterDoubtMs: 2_000 }
  const one = await start(settings)
  const two = await start(settings)
  nameHolder(two.local, 'another mount of the same volume')
  forgetLooks(two)
  forgetSeen(two)
  const confirm = (placement: Placement) => confirmLocation(placement, placement.locations.get('s3')!)
  await assert.rejects(confirm(two), { code: 'unavailable', message: /moved or copied/ })
  // A copy has a ledger of its own: what is advanced in this one is ours.
  await confirm(one)
  for (const each of [two, one, two]) await confirm(each)

  // Both have drawn a token when the first one's put arrives.
  const write = s3().backend.writeCounter
  const second = Promise.withResolvers<void>()
  let puts = 0
  s3().backend.writeCounter = async (...args) => {
    puts += 1
    if (puts === 1) {
      void confirm(two).then(second.resolve, second.reject)
      while (puts < 2) await new Promise((resolve) => setImmediate(resolve))
    } else if (puts === 2) {
      await arrived.promise
    }
    const version = await write(...args)
    if (puts === 2) arrived.resolve()
    return version
  }
  const arrived = Promise.withResolvers<void>()
  await confirm(one)
  await second.promise
  s3().backend.writeCounter = write
  assert.deepEqual(await conflicts(), [])
  for (const each of [one, two]) await lookAtLocation(each, each.locations.get('s3')!)
})

test('one stale answer of a place is no conflict', async () => {
  const placement = await start({ counterGoodForMs: 0 })
  const location = placement.locations.get('s3')!
  const stale = await s3().backend.readCounter()
  await confirmLocation(placement, location)
  const read = s3().backend.readCounter
  let isStale = true
  s3().backend.readCounter = async (...args) => {
    const now = await read(...args)
    if (!isStale) return now
    isStale = false
    return stale
  }
  await lookAtLocation(placement, location).catch(() => undefined)
  s3().backend.readCounter = read
  assert.deepEqual(await conflicts(), [])
  await lookAtLocation(placement, location)
})

test('after an adoption nothing is relied on for a while, whichever process has made it', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const idle = await start({ lateRequestMs: 3_600_000 })
  endOwning(idle, idle.locations.get('s3')!)
  await beginOwning(idle, idle.locations.get('s3')!, performance.now() - 2 * 3_600_000)
  await database.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  const other = await start()
  await beginAdoption(other, 's3', 'test')
  await adoptLocation(other, { locationId: 's3' })
  await assert.rejects(evictReplica(idle, { objectId: id, from: 'local' }), RetryLater)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('an adoption that is begun anew while it runs looks at all of it again', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await database.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  const placement = await start()
  await beginAdoption(placement, 's3', 'test')
  const list = s3().backend.list
  s3().backend.list = async function* (...args) {
    yield* list(...args)
    // Another server has taken the place over, and was stopped.
    const { text, version } = (await s3().backend.readCounter())!
    await s3().backend.writeCounter(text.replace(/"value":\d+/, '"value":1000'), version)
    await beginAdoption(placement, 's3', 'test')
  }
  await assert.rejects(adoptLocation(placement, { locationId: 's3' }), {
    code: 'unavailable',
    message: /begun anew/,
  })
  s3().backend.list = list
  assert.equal((await adoptLocation(placement, { locationId: 's3' }))!.confirmed.count, 1)
})
