/** What was decided, or looked at, and is acted upon late: the process stood still, or the machine slept. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import type { Replica } from '../../../src/placement/ledger/objects.ts'
import { loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { confirmLocation } from '../../../src/placement/locations/locations.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import type { PlacementSettings } from '../../../src/placement/placement.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { longestBetween, systemClock } from '../../../src/storage/moment.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { advanceAsAnother } from '../../support/storage/foreign-counter.ts'

const TEN_MINUTES_MS = 10 * 60_000

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
/** For so long the machine has slept: the steady clock has not noticed. */
let sleptMs = 0

async function open(settings: Partial<PlacementSettings> = {}): Promise<void> {
  rig = await testPlacement(database.db, {
    settings,
    clock() {
      const { steadyMs, bootMs, wallMs } = systemClock()
      return { steadyMs, bootMs: bootMs + sleptMs, wallMs: wallMs + sleptMs }
    },
  })
}

beforeEach(async () => {
  sleptMs = 0
  database = await testDatabase()
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

const s3 = () => rig.remotes.get('s3')!
const places = (id: string) => placesOf(database.db, id)

async function replicaAt(objectId: string, at: string): Promise<Replica> {
  const { replicas } = (await loadObject(database.db, objectId))!
  return replicas.find(({ locationId }) => locationId === at)!
}

async function onBoth(bytes = randomBytes(20_000)): Promise<string> {
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  return id
}

test('the time between two moments is the most that any clock shows', async () => {
  await open()
  const then = { steadyMs: 1_000, bootMs: 50_000, wallMs: 1_700_000_000_000 }
  const after = (steadyMs: number, bootMs: number, wallMs: number) =>
    longestBetween(then, {
      steadyMs: then.steadyMs + steadyMs,
      bootMs: then.bootMs + bootMs,
      wallMs: then.wallMs + wallMs,
    })
  assert.equal(after(20, 20, 20), 20)
  assert.equal(after(20, 600_000, 600_000), 600_000, 'the machine slept')
  assert.equal(after(20, 600_000, -3_600_000), 600_000, 'and its clock was set back')
  assert.equal(after(20, 20, 600_000), 600_000, 'a virtual machine was paused')
  assert.equal(after(20, 20, -3_600_000), 20, 'the clock was set back')
})

test('S3: the system clock goes on by all three of its clocks', async () => {
  await open()
  const then = systemClock()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const now = systemClock()
  for (const name of ['steadyMs', 'bootMs', 'wallMs'] as const)
    assert.ok(now[name] - then[name] >= 30, `${name}: ${now[name] - then[name]}`)
})

test('S3: a location that another ledger took while the machine slept is looked at before it is used', async () => {
  await open()
  const location = rig.placement.locations.get('s3')!
  await confirmLocation(rig.placement, location)
  await advanceAsAnother(s3().inner)
  await confirmLocation(rig.placement, location)
  sleptMs = TEN_MINUTES_MS
  await assert.rejects(confirmLocation(rig.placement, location), { code: 'conflict' })
})

test('S3: an eviction is not gone on with after a sleep between its turn and its end', async () => {
  await open({ counterGoodForMs: 0 })
  const id = await onBoth()
  const { backend } = rig.placement.local
  const write = backend.writeCounter
  backend.writeCounter = async (...given) => {
    if ((await places(id)).includes('local evicting')) sleptMs = TEN_MINUTES_MS
    return write.apply(backend, given)
  }
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 'local' }), RetryLater)
  assert.ok(await backend.head((await replicaAt(id, 'local')).key), 'the bytes are there')
})

test('S4: what was to be cleared is looked at again after a sleep between the look and the deletion', async () => {
  await open()
  const bytes = randomBytes(20_000)
  const id = await onBoth(bytes)
  const stray = freshKey((await loadObject(database.db, id))!.object)
  s3().inner.held.set(stray, { bytes, modifiedAt: new Date() })
  await noteKeyToClear(database.db, { objectId: id, locationId: 's3', key: stray }, 0)
  const { backend } = s3()
  const remove = backend.delete
  backend.delete = async (...given) => {
    backend.delete = remove
    sleptMs = TEN_MINUTES_MS
    return remove(...given)
  }
  assert.equal((await sweepPlacement(rig.placement)).clearedKeys, 0)
  assert.ok(s3().inner.held.has(stray))
  await database.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  assert.equal((await sweepPlacement(rig.placement)).clearedKeys, 1)
  assert.ok(!s3().inner.held.has(stray))
})

test('S4: what stood for a key to clear is asked for under the lock: a copy that is doubted by then does not', async () => {
  await open()
  const bytes = randomBytes(20_000)
  const id = await onBoth(bytes)
  const { key } = await replicaAt(id, 's3')
  s3().inner.held.delete(key)
  await database.pool.query(`update replica set state = 'suspect' where location_id = 's3'`)
  // Read back, so that a look at it proves nothing new.
  await database.pool.query(`update replica set proof_level = 4 where location_id = 'local'`)
  const stray = freshKey((await loadObject(database.db, id))!.object)
  await noteKeyToClear(database.db, { objectId: id, locationId: 's3', key: stray }, 0)
  s3().inner.held.set(stray, { bytes: randomBytes(20_000), modifiedAt: new Date() })
  // Wrong bytes, which go for the local copy; a reader finds out about that one meanwhile.
  await afterLookAt('local', async () => {
    await suspectReplica(database.db, await replicaAt(id, 'local'), 'test')
  })
  assert.equal((await sweepPlacement(rig.placement)).clearedKeys, 0)
  assert.ok(s3().inner.held.has(stray))
})

/** `act` runs once the next look at the place has seen what is there. */
async function afterLookAt(at: string, act: () => Promise<void>): Promise<void> {
  const { backend } = rig.placement.locations.get(at)!
  const { get, head } = backend
  const once = async () => {
    backend.get = get
    backend.head = head
    await act()
  }
  backend.get = async (...given) => {
    const held = await get(...given)
    held.stream.once('end', () => undefined)
    await once()
    return held
  }
  backend.head = async (...given) => {
    const held = await head(...given)
    await once()
    return held
  }
}

/** Back on the disk, and given up in the bucket; the answer got lost, and nobody is at it any more. */
async function evictingInBucket(): Promise<string> {
  const id = await onBoth()
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  Object.assign(rig.placement.policy, { original: ['local'] })
  await replicateObject(rig.placement, { objectId: id, to: 'local' })
  s3().plan({ call: 'delete', when: 'before' })
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), StorageError)
  assert.deepEqual(await places(id), ['local verified', 's3 evicting'])
  await database.pool.query(`update replica set lease_expires_at = now() - interval '1 minute'`)
  return id
}

test('an eviction that is gone on with asks under the lock whether what stands for it still does', async () => {
  await open()
  const id = await evictingInBucket()
  const { key } = await replicaAt(id, 's3')
  await afterLookAt('local', async () => {
    await suspectReplica(database.db, await replicaAt(id, 'local'), 'test')
  })
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), RetryLater)
  assert.ok(s3().inner.held.has(key), 'the last right bytes are there')
  assert.deepEqual(await places(id), ['local suspect', 's3 evicting'])
})

test('an eviction that somebody has kept meanwhile is not gone on with', async () => {
  await open()
  const id = await evictingInBucket()
  const { key } = await replicaAt(id, 's3')
  await afterLookAt('local', async () => {
    await database.pool.query(
      `update replica set state = 'verified', proof_level = 4, proof = '{"method": "read-back"}' where location_id = 's3'`,
    )
  })
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), RetryLater)
  assert.ok(s3().inner.held.has(key))
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('an eviction that is gone on with is leased anew, so that two are not at it', async () => {
  await open()
  const id = await evictingInBucket()
  s3().plan({ call: 'delete', when: 'before' })
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), StorageError)
  assert.ok(((await replicaAt(id, 's3')).leaseLeftMs ?? 0) > 0)
  const local = await replicaAt(id, 'local')
  await writeFile(rig.placement.local.backend.localFiles!.path(local.key), randomBytes(20_000))
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), RetryLater)
  assert.ok(s3().inner.held.has((await replicaAt(id, 's3')).key))
})

test('what is kept of an eviction is asked for under the lock: somebody may be at it again', async () => {
  await open()
  const id = await evictingInBucket()
  const local = await replicaAt(id, 'local')
  await writeFile(rig.placement.local.backend.localFiles!.path(local.key), randomBytes(20_000))
  // It looks at the disk, then at the bucket, and finds that the bytes have to stay.
  await afterLookAt('s3', async () => {
    await database.pool.query(
      `update replica set lease_expires_at = now() + interval '1 minute' where location_id = 's3'`,
    )
  })
  s3().plan({ call: 'put', when: 'before', error: new StorageError('denied', 'no puts') })
  const { key } = await replicaAt(id, 's3')
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), RetryLater)
  assert.ok((await places(id)).includes('s3 evicting'))
  assert.equal((await replicaAt(id, 's3')).key, key)
})

test('a purge of a duplicate that is gone on with asks under the lock what stands for it', async () => {
  await open()
  const id = await onBoth()
  await database.db.transaction().execute((tx) => markForPurge(tx, [id], 'duplicate'))
  const local = await replicaAt(id, 'local')
  await database.pool.query(
    `update replica set state = 'evicting', removal = 'other-copy', lease_expires_at = now() where location_id = 'local'`,
  )
  await afterLookAt('s3', async () => {
    await suspectReplica(database.db, await replicaAt(id, 's3'), 'test')
  })
  await assert.rejects(purgeObject(rig.placement, { objectId: id }), RetryLater)
  assert.ok(await rig.placement.local.backend.head(local.key), 'the last right bytes are there')
})

test('a write that is ended is leased while its bytes go, so that nobody keeps them meanwhile', async () => {
  await open()
  const id = await ingestBytes(rig.placement, randomBytes(20_000))
  s3().plan({ call: 'put', when: 'after' })
  s3().plan({ call: 'head', when: 'before' })
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
  assert.deepEqual(await places(id), ['local verified', 's3 writing'])
  // What arrived is wrong, and its writer is gone.
  const { key } = await replicaAt(id, 's3')
  s3().inner.held.set(key, { bytes: randomBytes(20_000), modifiedAt: new Date() })
  await database.pool.query(
    `update replica set lease_expires_at = now() - interval '1 minute' where state = 'writing'`,
  )
  s3().plan({ call: 'delete', when: 'before' })
  await sweepPlacement(rig.placement)
  assert.deepEqual(await places(id), ['local verified', 's3 evicting'])
  assert.ok(((await replicaAt(id, 's3')).leaseLeftMs ?? 0) > 0)
})
