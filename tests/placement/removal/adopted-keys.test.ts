/**
 * What becomes of other keys when bytes are adopted: of the one that the row named before, and of one that
 * somebody may be removing at this moment.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear, noteRemovalBegun } from '../../../src/placement/ledger/keys-to-clear.ts'
import { beginReplica, loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { discardEmptyObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const { s3, places, replicaAt } = rig

const read = async (id: string) => buffer(await (await findServable(rig.placement, id)).open())

const freshKeyOf = async (objectId: string) => freshKey((await loadObject(rig.db, objectId))!.object)

function hold(key: string, bytes: Buffer): void {
  s3().inner.held.set(key, { bytes, modifiedAt: new Date() })
}

async function adopt(at: string): Promise<void> {
  await rig.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = $1`,
    [at],
  )
  await beginAdoption(rig.placement, at, 'test')
  await adoptLocation(rig.placement, { locationId: at })
}

async function sweepKeys(): Promise<void> {
  await rig.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(rig.placement)
}

test('right bytes under the key of a suspect replica are found when those that were adopted in its place are lost', async () => {
  const bytes = randomBytes(20_000)
  const id = await rig.ingestOffloaded(bytes)
  const before = await replicaAt(id, 's3')
  await suspectReplica(rig.db, before, 'test')
  // The bucket leaves it out of its list, and has the same bytes under another key.
  s3().inner.held.delete(before.key)
  const other = await freshKeyOf(id)
  hold(other, bytes)
  await adopt('s3')
  assert.equal((await replicaAt(id, 's3')).key, other)
  hold(before.key, bytes)
  s3().inner.held.delete(other)
  await sweepKeys()
  await sweepKeys()
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.deepEqual(await read(id), bytes)
})

test('nothing is left for good under the key of a write that was not finished, when other bytes were adopted', async () => {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  const [before, other] = [await freshKeyOf(id), await freshKeyOf(id)]
  await beginReplica(rig.db, {
    objectId: id,
    locationId: 's3',
    key: before,
    actor: 'test',
    leaseMs: 60_000,
  })
  hold(other, bytes)
  await adopt('s3')
  assert.equal((await replicaAt(id, 's3')).key, other)
  // Its writer was slow.
  hold(before, bytes)
  await sweepKeys()
  assert.deepEqual([s3().inner.held.has(before), s3().inner.held.has(other)], [false, true])
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('what a writer puts that was taken for dead while it slept is found and removed', async () => {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  const { backend } = s3()
  const { put } = backend
  backend.put = async (...given) => {
    backend.put = put
    await rig.pool.query(`update replica set lease_expires_at = now() where state = 'writing'`)
    assert.equal((await sweepPlacement(rig.placement)).abandonedWrites, 1)
    return put(...given)
  }
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }), { code: 'conflict' })
  assert.deepEqual(await places(id), ['local verified'])
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  assert.equal(s3().inner.held.size, 2)
  await sweepKeys()
  assert.deepEqual([...s3().inner.held.keys()], [(await replicaAt(id, 's3')).key])
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('bytes that somebody may be removing are adopted when that is over, where they can not be put anew', async () => {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  const stray = { objectId: id, locationId: 's3', key: await freshKeyOf(id) }
  hold(stray.key, bytes)
  await noteKeyToClear(rig.db, stray, 0)
  await rig.db
    .transaction()
    .execute((tx) => noteRemovalBegun(tx, stray, { removal: 'other-copy', leaseMs: 60_000 }))
  const { backend } = s3()
  const { put } = backend
  backend.put = async () => {
    throw new StorageError('denied', 'no further put')
  }
  await assert.rejects(adopt('s3'), RetryLater)
  assert.deepEqual(await places(id), ['local verified'])
  await rig.pool.query('update key_to_clear set clear_at = now() where removal is not null')
  await adoptLocation(rig.placement, { locationId: 's3' })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  assert.equal((await replicaAt(id, 's3')).key, stray.key)
  backend.put = put
})

test('a file that is being given up is not kept by an adoption of its disk before that is over', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(20_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await rig.pool.query(
    `update replica set state = 'evicting', removal = 'other-copy', lease_expires_at = now() + interval '1 minute'
     where location_id = 'local'`,
  )
  await assert.rejects(adopt('local'), RetryLater)
  assert.deepEqual(await places(id), ['local evicting', 's3 verified'])
  // Whoever was at it has died.
  await rig.pool.query(`update replica set lease_expires_at = now() where state = 'evicting'`)
  await adoptLocation(rig.placement, { locationId: 'local' })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('an object without a replica is not forgotten while right bytes of it lie under a key that is looked after', async () => {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  const local = await replicaAt(id, 'local')
  const stray = { objectId: id, locationId: 's3', key: await freshKeyOf(id) }
  hold(stray.key, bytes)
  await noteKeyToClear(rig.db, stray, 60_000)
  await rig.pool.query(`update stored_object set is_linked = false, created_at = now() - interval '1 hour'`)
  await rig.pool.query('alter table replica disable trigger user')
  await rig.pool.query('delete from replica')
  await rig.pool.query('alter table replica enable trigger user')
  await rm(rig.placement.local.backend.localFiles!.path(local.key))

  await sweepPlacement(rig.placement)
  assert.equal(await discardEmptyObject(rig.placement, id), 'unsure')
  await sweepKeys()
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.deepEqual(await read(id), bytes)
})

test('an adoption comes to its end where a URL could still put to the key that the replica named before', async () => {
  const bytes = randomBytes(20_000)
  const id = await rig.ingestOffloaded(bytes)
  const before = await replicaAt(id, 's3')
  // It was a direct upload of this hour, and its bytes have got another key since the backup.
  await rig.pool.query(`update replica set writable_until = now() + interval '10 minutes'`)
  s3().inner.held.delete(before.key)
  const other = await freshKeyOf(id)
  hold(other, bytes)
  await adopt('s3')
  assert.equal((await replicaAt(id, 's3')).key, other)
  assert.deepEqual(await read(id), bytes)
  // What arrives late under the old key goes.
  hold(before.key, bytes)
  await sweepKeys()
  assert.deepEqual([...s3().inner.held.keys()], [other])
  const { rows } = await rig.pool.query('select key from key_to_clear')
  assert.deepEqual(rows, [{ key: before.key }], 'and is looked after until no URL holds')
})
