/** A bucket with Object Lock: what stolen keys, mistakes and our own removals can and can't do there. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { sql } from 'kysely'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { extendLocks } from '../../../src/placement/maintenance/extend-locks.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { Retained } from '../../../src/placement/removal/retained.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { ingestBytes } from '../../support/placement.ts'
import { countOf } from '../../support/storage/class-bucket.ts'
import {
  DAY_MS,
  LOCK_DAYS as DAYS,
  hide,
  ofOurs,
  startLockedBucket as start,
} from '../../support/storage/locked-bucket.ts'

test('an offload locks with the put itself, and the HEAD before the eviction sees it: no request more', async (t) => {
  const { server, offload, db, now, lockOf } = await start(t)
  const names = [
    'PutObject',
    'HeadObject',
    'GetObject',
    'ListObjectVersions',
    'PutObjectRetention',
    'GetObjectRetention',
  ] as const
  const counts = names.map((name) => countOf(server, name))
  await offload()
  assert.deepEqual(
    counts.map(({ hits }) => hits),
    [1, 1, 0, 0, 0, 0],
  )
  const { mode, until } = (await lockOf())!
  assert.equal(mode, 'GOVERNANCE')
  assert.ok(Date.parse(until) > now().getTime() + (DAYS - 1) * DAY_MS)
  const { retained_until, version_id } = await db
    .selectFrom('object_lock')
    .selectAll()
    .executeTakeFirstOrThrow()
  assert.equal(retained_until?.toISOString(), until)
  assert.notEqual(version_id, null)
})

test('what goes in parts is locked as well', async (t) => {
  const { offload, lockOf } = await start(t, { singlePutBytes: 1_000 })
  await offload(randomBytes(6 * 2 ** 20))
  assert.equal((await lockOf())?.mode, 'GOVERNANCE')
})

test('a purge waits until the lock ends, says so, and then removes the version itself', async (t) => {
  const { server, offload, db, placement, pass } = await start(t)
  const objectId = await offload()
  await markForPurge(db, [objectId], 'user')
  const deletes = countOf(server, 'DeleteObject')
  const waits = async () => {
    const error = await purgeObject(placement, { objectId }).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof Retained, String(error))
    return error
  }
  assert.match((await waits()).message, /locked there until 20\d\d-/)
  await waits()
  assert.equal(deletes.hits, 0, 'nothing is tried in vain')
  assert.equal((await ofOurs(server)).length, 1)
  const { lock } = (await storageStatus(placement)).locations.find(({ id }) => id === 'bucket')!
  assert.deepEqual([lock?.waiting.count, lock?.waiting.bytes, lock?.due], [1, 3_000, 0])
  assert.ok(lock?.waiting.until)

  await pass(DAYS + 1)
  await purgeObject(placement, { objectId })
  assert.deepEqual(await ofOurs(server), [], 'no version and no marker is left')
  assert.deepEqual(await db.selectFrom('object_lock').selectAll().execute(), [])
})

test('a lock that the ledger does not know of is learnt from the refusal', async (t) => {
  const { offload, db, placement, pass, server, location } = await start(t)
  const objectId = await offload()
  await pass(DAYS + 1)
  const { key } = (await ofOurs(server))[0]!
  await location.backend.locks!.extend(key as never, new Date(Date.now() + (2 * DAYS + 5) * DAY_MS))
  await markForPurge(db, [objectId], 'user')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
  assert.equal((await ofOurs(server)).length, 1)
  const deletes = countOf(server, 'DeleteObject')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
  assert.equal(deletes.hits, 0)
})

test('locks are prolonged when half of their time is over, once, and only while the file is wanted', async (t) => {
  const { server, offload, db, placement, location, pass, lockOf } = await start(t)
  const objectId = await offload()
  const puts = countOf(server, 'PutObjectRetention')
  const before = (await lockOf())!.until
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 0, failed: 0 })
  await pass(DAYS / 2 + 1)
  assert.deepEqual(await extendLocks(placement, location), { extended: 1, seen: 0, failed: 0 })
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 0, failed: 0 })
  assert.equal(puts.hits, 1)
  assert.ok((await lockOf())!.until > before)
  await pass(DAYS / 2 + 1)
  await markForPurge(db, [objectId], 'user')
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 0, failed: 0 })
})

test('a lock that nobody has seen is looked at, and one that fails keeps no other from its turn', async (t) => {
  const { server, offload, db, placement, location, lockOf, pass } = await start(t)
  await offload()
  await db.deleteFrom('object_lock').execute()
  await sql`update replica set verified_at = now() - interval '1 hour'`.execute(db)
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 1, failed: 0 })
  server.profile.denied = ['PutObjectRetention']
  await pass(DAYS - 1)
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 0, failed: 1 })
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 0, failed: 0 }, 'later again')
  assert.ok(await lockOf())
})

test('a copy that somebody deletes is hidden, not lost: the listing brings it back', async (t) => {
  const { server, offload, placement, places, location, db } = await start(t)
  const objectId = await offload()
  const { key } = (await ofOurs(server))[0]!
  await hide(server, key)
  await assert.rejects(location.backend.head(key as never), { kind: 'hidden' })
  await assert.rejects(location.backend.get(key as never), { kind: 'hidden' })
  await sql`update replica set verified_at = now() - interval '1 hour'`.execute(db)
  await checkListing(placement, 'bucket', { isNow: true })
  assert.deepEqual(await places(objectId), ['bucket verified'])
  assert.ok(await location.backend.head(key as never))
})

test('a hidden copy that is deleted by its owner is removed at its end, not forgotten', async (t) => {
  const { server, offload, placement, db, pass } = await start(t)
  const objectId = await offload()
  const { key } = (await ofOurs(server))[0]!
  await hide(server, key)
  await db.deleteFrom('object_lock').execute()
  await markForPurge(db, [objectId], 'user')
  await assert.rejects(purgeObject(placement, { objectId }), Retained)
  await pass(DAYS + 1)
  await purgeObject(placement, { objectId })
  assert.deepEqual(await ofOurs(server), [])
})

test('wrong bytes that are locked are set aside, and the copy is made anew at once', async (t) => {
  const { server, placement, places, db, pass } = await start(t)
  const objectId = await ingestBytes(placement, randomBytes(3_000))
  server.profile.bucketSilentlyDamages = true
  await replicateObject(placement, { objectId, to: 'bucket' }).catch(() => undefined)
  server.profile.bucketSilentlyDamages = false
  await sql`update replica set state = 'suspect', proof_level = 0 where location_id = 'bucket' and state = 'verified'`.execute(
    db,
  )
  await replicateObject(placement, { objectId, to: 'bucket' })
  await replicateObject(placement, { objectId, to: 'bucket' })
  assert.deepEqual(await places(objectId), ['bucket verified', 'local verified'])
  assert.equal((await ofOurs(server)).length, 2)
  const reads = countOf(server, 'GetObject')
  await sql`update key_to_clear set clear_at = now() - interval '1 minute'`.execute(db)
  await sweepPlacement(placement)
  assert.equal(reads.hits, 0, 'nobody looks before its end')
  await pass(DAYS + 1)
  await sql`update key_to_clear set clear_at = now() - interval '1 minute'`.execute(db)
  await sweepPlacement(placement)
  assert.equal((await ofOurs(server)).length, 1)
})

test('a class change leaves the old bytes to the end of their lock', async (t) => {
  const { server, placement, places, db, pass, offload } = await start(t, {
    classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 1, class: 'STANDARD_IA' }] } },
  })
  // Smaller ones stay in their class.
  const objectId = await offload(randomBytes(200 * 1024))
  await pass(2)
  await changeClass(placement, { objectId, at: 'bucket' })
  assert.equal((await ofOurs(server)).length, 2)
  assert.ok(
    (await ofOurs(server)).every(({ version }) => version.retention),
    'the copy is locked, too',
  )
  await sql`update class_change set clear_after = now() - interval '1 minute', lease_expires_at = now() - interval '1 minute'`.execute(
    db,
  )
  await sweepPlacement(placement)
  assert.deepEqual(await places(objectId), ['bucket verified'])
  assert.deepEqual(await db.selectFrom('class_change').selectAll().execute(), [], 'the change is over')
  assert.equal((await ofOurs(server)).length, 2)
  await pass(DAYS)
  await sweepPlacement(placement)
  assert.equal((await ofOurs(server)).length, 1)
})
