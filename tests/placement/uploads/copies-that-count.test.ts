/**
 * What stands for the bytes of somebody: not what another installation may remove, nor what is not ours to
 * rely on.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { forgetSeen, nameHolder } from '../../../src/placement/locations/counter/moved-installation.ts'
import { ensureCopy } from '../../../src/placement/uploads/repair.ts'
import { findSafeObjects } from '../../../src/placement/uploads/safe-copies.ts'
import { stageStream } from '../../../src/placement/uploads/stage.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

const inBucket = (bytes: Buffer, ownerId: string) => rig.ingestOffloaded(bytes, { ownerId })
const belongToAnother = () => {
  rig.placement.locations.get('s3')!.isReadOnly = true
}
const inConflict = async () => {
  await rig.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  forgetLooks(rig.placement)
}

for (const [what, make] of [
  ['of another installation', belongToAnother],
  ['that another ledger uses', inConflict],
] as const)
  test(`a twin at a place ${what} is nothing that bytes are given up for`, async () => {
    const [bytes, ownerId] = [randomBytes(2_000), randomUUID()]
    const twin = await inBucket(bytes, ownerId)
    const here = await ingestBytes(rig.placement, bytes, { ownerId })
    await rig.pool.query(`update stored_object set created_at = now() - interval '3 days'`)
    await rig.db.transaction().execute((tx) => markForPurge(tx, [here], 'duplicate'))
    await make()
    await assert.rejects(purgeObject(rig.placement, { objectId: here }))
    const { replicas } = (await loadObject(rig.db, here))!
    assert.equal(replicas[0]!.state, 'verified')
    assert.ok(await rig.placement.local.backend.head(replicas[0]!.key))
    assert.deepEqual(await rig.places(twin), ['s3 verified'])
  })

test('what only the bucket of the original holds is no duplicate for a copy of the installation', async () => {
  const bytes = randomBytes(2_000)
  const id = await inBucket(bytes, randomUUID())
  belongToAnother()
  assert.deepEqual(await findSafeObjects(rig.placement, [id]), new Set())
  const sent = await stageStream(rig.placement, Readable.from([bytes]), { maxBytes: 1e6 })
  assert.equal(await ensureCopy(rig.placement, id, sent), 'repaired')
  assert.deepEqual(await rig.places(id), ['local verified', 's3 verified'])
})

test('what lies in a bucket that another ledger uses is no duplicate, also while nobody can reach it', async () => {
  const bytes = randomBytes(2_000)
  const id = await inBucket(bytes, randomUUID())
  assert.deepEqual(await findSafeObjects(rig.placement, [id]), new Set([id]))
  await inConflict()
  await rig.pool.query(
    `update location set is_healthy = false, health_error = 'no answer', away_since = now() where id = 's3'`,
  )
  assert.deepEqual(await findSafeObjects(rig.placement, [id]), new Set())
  const sent = await stageStream(rig.placement, Readable.from([bytes]), { maxBytes: 1e6 })
  assert.equal(await ensureCopy(rig.placement, id, sent), 'repaired')
  assert.deepEqual(await rig.places(id), ['local verified', 's3 verified'])
})

test('a copy of an installation finds no duplicate in the bucket before it has seen whether the original goes on', async () => {
  const bytes = randomBytes(2_000)
  const id = await inBucket(bytes, randomUUID())
  const { placement } = rig
  nameHolder(placement.local, 'another disk')
  forgetLooks(placement)
  forgetSeen(placement)
  const sent = await stageStream(placement, Readable.from([bytes]), { maxBytes: 1e6 })
  assert.equal(await ensureCopy(placement, id, sent), 'repaired')
  assert.deepEqual(await rig.places(id), ['local verified', 's3 verified'])
})

test('right bytes whose ETag alone has changed are not taken for wrong ones when nothing else stands for them', async () => {
  const id = await inBucket(randomBytes(2_000), randomUUID())
  const { backend } = rig.s3()
  const { head } = backend
  // It attests to nothing, and was copied to another bucket and back: every ETag is another one.
  await rig.pool.query(`update replica set proof = proof || '{"etag": "before"}'`)
  backend.head = async (...args) => {
    const held = await head(...args)
    return held && { ...held, etag: 'after', attested: [] }
  }
  await rig.db.transaction().execute((tx) => markForPurge(tx, [id], 'duplicate'))
  await assert.rejects(purgeObject(rig.placement, { objectId: id }), RetryLater)
  const { replicas } = (await loadObject(rig.db, id))!
  assert.ok(await backend.head(replicas[0]!.key), 'the bytes are there')
})

test('a bucket whose quota is used up can be emptied', async () => {
  const id = await inBucket(randomBytes(2_000), randomUUID())
  await rig.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
  rig.placement.settings.counterGoodForMs = 0
  rig.s3().backend.writeCounter = async () => {
    throw new StorageError('too-large', 'QuotaExceeded')
  }
  await purgeObject(rig.placement, { objectId: id })
  assert.equal(rig.s3().inner.held.size, 0)
})
