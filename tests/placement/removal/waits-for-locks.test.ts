/** What waits for a lock waits for that alone, and for no longer; and what does not have to, does not. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { sql } from 'kysely'
import type { Database } from '../../../src/database/connect.ts'
import { silentLog } from '../../../src/log.ts'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { noteRetention, postponeLock } from '../../../src/placement/ledger/object-locks.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { Location } from '../../../src/placement/location.ts'
import { Retained } from '../../../src/placement/removal/retained.ts'
import { noteBadReplica } from '../../../src/placement/replica-io/mark-bad.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { ingestBytes, locationOfBackend } from '../../support/placement.ts'
import { countOf } from '../../support/storage/class-bucket.ts'
import { DAY_MS, LOCK_DAYS, ofOurs, replace, startLockedBucket } from '../../support/storage/locked-bucket.ts'

test('wrong bytes whose removal was begun before their lock was seen are set aside, too', async (t) => {
  const { server, placement, places, db } = await startLockedBucket(t)
  const objectId = await ingestBytes(placement, randomBytes(3_000))
  server.profile.bucketSilentlyDamages = true
  await replicateObject(placement, { objectId, to: 'bucket' }).catch(() => undefined)
  server.profile.bucketSilentlyDamages = false
  // Somebody has locked it for longer than the ledger knows.
  const { replicas } = (await loadObject(db, objectId))!
  const bad = replicas.find(({ locationId }) => locationId === 'bucket')!
  await noteRetention(db, bad, { until: new Date(Date.now() - DAY_MS), isOnHold: false })
  await noteBadReplica(placement, bad, { actor: 'test', reason: 'the bytes have another SHA-256' })
  await assert.rejects(replicateObject(placement, { objectId, to: 'bucket' }), Retained)
  assert.deepEqual(await places(objectId), ['bucket evicting', 'local verified'])
  await endLeases(db)
  await replicateObject(placement, { objectId, to: 'bucket' })
  assert.deepEqual(await places(objectId), ['bucket verified', 'local verified'])
  assert.equal((await ofOurs(server)).length, 2)
})

test('bytes that were replaced while their removal waits are looked at, and set aside', async (t) => {
  const { server, placement, places, db, now } = await startLockedBucket(t)
  const objectId = await ingestBytes(placement, randomBytes(3_000))
  await replicateObject(placement, { objectId, to: 'bucket' })
  await sql`update replica set state = 'evicting', removal = 'other-copy', lease_expires_at = null
    where location_id = 'bucket'`.execute(db)
  const lockedUntil = new Date(now().getTime() + 3 * DAY_MS)
  await replace(server, (await ofOurs(server))[0]!.key, { bytes: randomBytes(3_000), lockedUntil })
  await replicateObject(placement, { objectId, to: 'bucket' })
  assert.deepEqual(await places(objectId), ['bucket verified', 'local verified'])
})

/** As when the process that was at it has died. */
const endLeases = (db: Database) =>
  sql`update replica set lease_expires_at = null where state = 'evicting'`.execute(db)

test('a file whose lock could not be prolonged, and was never seen, is asked about before it goes', async (t) => {
  const { server, placement, db, offload } = await startLockedBucket(t)
  const objectId = await offload()
  await db.deleteFrom('object_lock').execute()
  await postponeLock(db, (await loadObject(db, objectId))!.replicas[0]!, new Date())
  await markForPurge(db, [objectId], 'user')
  const deletes = countOf(server, 'DeleteObject')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
  assert.equal(deletes.hits, 0)
})

test('a purge waits for a known lock without objectLock in the configuration, and leaves no bytes', async (t) => {
  const { server, placement, settings, db, offload, pass } = await startLockedBucket(t)
  const objectId = await offload()
  const { objectLock: _, ...unlocked } = settings
  const backend = openS3Backend(unlocked, silentLog)
  t.after(() => backend.close())
  ;(placement.locations as Map<string, Location>).set('bucket', locationOfBackend('bucket', 's3', backend))
  await markForPurge(db, [objectId], 'user')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
  assert.equal((await ofOurs(server)).length, 1, 'no marker was made')
  const lock = async () => (await storageStatus(placement)).locations.find(({ id }) => id === 'bucket')!.lock
  const { mode, waiting } = (await lock())!
  assert.deepEqual([mode, waiting.count], [null, 1], 'people are told what waits, and until when')
  await pass(LOCK_DAYS + 1)
  await backend.readMarker().catch(() => undefined)
  await purgeObject(placement, { objectId })
  assert.deepEqual(await ofOurs(server), [])
  assert.equal(await lock(), null)
})

test('bytes of a class change that are locked keep no other copy from its end', async (t) => {
  const { placement, places, db, pass } = await startLockedBucket(t, {
    classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 1, class: 'STANDARD_IA' }] } },
  })
  const objectId = await ingestBytes(placement, randomBytes(200 * 1024))
  await replicateObject(placement, { objectId, to: 'bucket' })
  await pass(2)
  await changeClass(placement, { objectId, at: 'bucket' })
  assert.deepEqual(await places(objectId), ['bucket verified', 'local verified'])
  await markForPurge(db, [objectId], 'user')
  await assert.rejects(purgeObject(placement, { objectId }))
  assert.ok(!(await places(objectId)).some((place) => place.startsWith('local')))
})

test('a service whose clock is a little behind still refuses because of the lock', async (t) => {
  const { placement, db, offload, letServerBeBehind } = await startLockedBucket(t)
  const lagMs = 5_000
  await letServerBeBehind(LOCK_DAYS * DAY_MS + lagMs)
  const objectId = await offload()
  const [row] = await db.selectFrom('object_lock').selectAll().execute()
  assert.ok(row!.retained_until!.getTime() < Date.now(), 'by our clock it has ended')
  await db.deleteFrom('object_lock').execute()
  await sql`insert into object_lock (location_id, key, retained_until) values ('bucket', ${row!.key},
    now() - interval '1 hour')`.execute(db)
  await markForPurge(db, [objectId], 'user')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
})

test('nothing is tried in the minute after a lock, for clocks differ', async (t) => {
  const { server, placement, db, offload } = await startLockedBucket(t)
  const objectId = await offload()
  await sql`update object_lock set retained_until = now() - interval '10 seconds'`.execute(db)
  await markForPurge(db, [objectId], 'user')
  const deletes = countOf(server, 'DeleteObject')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
  assert.equal(deletes.hits, 0)
})
