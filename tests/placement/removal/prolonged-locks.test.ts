/** Locks are prolonged for the version that is ours, and one file or kind that fails stops no other. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { sql } from 'kysely'
import { knownKey } from '../../../src/placement/keys.ts'
import { postponeLock } from '../../../src/placement/ledger/object-locks.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { Location } from '../../../src/placement/location.ts'
import { extendLocks } from '../../../src/placement/maintenance/extend-locks.ts'
import type { Policy } from '../../../src/placement/policy.ts'
import { ingestBytes } from '../../support/placement.ts'
import { countOf } from '../../support/storage/class-bucket.ts'
import { DAY_MS, LOCK_DAYS, ofOurs, replace, startLockedBucket } from '../../support/storage/locked-bucket.ts'
import { leaveTo } from '../../support/storage/permit.ts'

const HALF = LOCK_DAYS / 2 + 1

test('what is not locked is seen with its version, and that one is locked, not a newer one', async (t) => {
  const { server, location } = await startLockedBucket(t)
  const key = knownKey(`users/${crypto.randomUUID()}/profile/thumbnail.${'ab'.repeat(16)}.webp`)
  const bytes = randomBytes(100)
  await location.backend.put(key, {
    size: bytes.length,
    digests: [{ algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') }],
    open: () => Readable.from([bytes]),
  })
  const seen = (await location.backend.locks!.look(key))!
  assert.equal(seen.until, null)
  assert.ok(seen.versionId !== undefined)
  await replace(server, key, { bytes: randomBytes(10) })
  await location.backend.locks!.extend(key, new Date(Date.now() + DAY_MS), { versionId: seen.versionId })
  const locked = (await ofOurs(server)).filter(({ version }) => version.retention)
  assert.deepEqual(
    locked.map(({ version }) => version.versionId),
    [seen.versionId],
  )
})

test('a noted version that is gone is forgotten, and the lock of what is there is prolonged', async (t) => {
  const { db, offload, pass, placement, location } = await startLockedBucket(t)
  await offload()
  await sql`update object_lock set version_id = 'gone'`.execute(db)
  await pass(HALF)
  assert.deepEqual(await extendLocks(placement, location), { extended: 1, seen: 0, failed: 0 })
  const [row] = await db.selectFrom('object_lock').selectAll().execute()
  assert.notEqual(row?.version_id, 'gone')
})

test('the lock of wrong bytes is not noted as that of the copy', async (t) => {
  const { server, db, placement, now } = await startLockedBucket(t)
  const objectId = await ingestBytes(placement, randomBytes(3_000))
  await replicateObject(placement, { objectId, to: 'bucket' })
  await db.deleteFrom('object_lock').execute()
  const lockedUntil = new Date(now().getTime() + 300 * DAY_MS)
  await replace(server, (await ofOurs(server))[0]!.key, { bytes: randomBytes(3_000), lockedUntil })
  await evictReplica(placement, { objectId, from: 'local' }).catch(() => undefined)
  assert.deepEqual(await db.selectFrom('object_lock').selectAll().execute(), [])
})

test('what is missing is no failure of prolonging, and is not asked for again at once', async (t) => {
  const { server, offload, pass, placement, location } = await startLockedBucket(t)
  await offload()
  await pass(LOCK_DAYS + 1)
  await location.backend.delete(leaveTo([knownKey((await ofOurs(server))[0]!.key)]))
  assert.deepEqual(await extendLocks(placement, location), { extended: 0, seen: 0, failed: 0 })
  const looks = countOf(server, 'HeadObject')
  await extendLocks(placement, location)
  assert.equal(looks.hits, 0)
})

test('what failed before comes after what did not', async (t) => {
  const { db, offload, pass, placement, location } = await startLockedBucket(t)
  const [first] = [await offload(), await offload()]
  const { replicas } = (await loadObject(db, first))!
  await sql`update object_lock set retained_until = retained_until - interval '1 day' where key = ${replicas[0]!.key}`.execute(
    db,
  )
  await postponeLock(db, replicas[0]!, new Date())
  await pass(HALF)
  assert.deepEqual(await extendLocks(placement, location, { most: 1 }), { extended: 1, seen: 0, failed: 0 })
  const rows = await db.selectFrom('object_lock').select(['key', 'retry_at']).execute()
  assert.equal(rows.filter(({ retry_at }) => retry_at !== null).length, 1)
})

test('one kind that can not be prolonged keeps the other kinds from nothing', async (t) => {
  const { server, db, offload, pass, placement, location } = await startLockedBucket(t)
  for (let count = 0; count < 24; count += 1) await offload(randomBytes(100))
  ;(placement as { policy: Policy }).policy = { ...placement.policy, sidecar: ['bucket'] }
  const last = await ingestBytes(placement, randomBytes(100), { kind: 'sidecar' })
  await replicateObject(placement, { objectId: last, to: 'bucket' })
  const both = { ...location, lock: { ...location.lock, days: { original: LOCK_DAYS, sidecar: LOCK_DAYS } } }
  ;(placement.locations as Map<string, Location>).set(both.id, both)
  await pass(HALF)
  const keys = await sql<{ key: string }>`select key from replica where object_id <> ${last}`.execute(db)
  for (const { key } of keys.rows)
    server.faults.add({
      match: { operation: 'PutObjectRetention', key },
      fault: { kind: 'status', status: 403, code: 'AccessDenied' },
    })
  await assert.rejects(extendLocks(placement, both), { kind: 'denied' })
  const { replicas } = (await loadObject(db, last))!
  const { key } = replicas.find(({ locationId }) => locationId === 'bucket')!
  const row = await db
    .selectFrom('object_lock')
    .select('retained_until')
    .where('key', '=', key)
    .executeTakeFirstOrThrow()
  assert.ok(row.retained_until!.getTime() > placement.now().getTime() + (LOCK_DAYS - 1) * DAY_MS)
})
