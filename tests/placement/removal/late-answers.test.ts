/** A bucket that carries out a deletion late, or answers with what was true a moment ago. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const { s3, places, replicaAt } = rig

const heldKeys = () => [...s3().inner.held.keys()].filter((key) => key.startsWith('users/'))
const read = async (id: string) => buffer(await (await findServable(rig.placement, id)).open())

async function flipLocal(objectId: string, bytes: Buffer): Promise<void> {
  const { key } = await replicaAt(objectId, 'local')
  const damaged = Buffer.from(bytes)
  damaged[17]! ^= 1
  await writeFile(rig.placement.local.backend.localFiles!.path(key), damaged)
}

/**
 * Back on the disk, and given up in the bucket; the answer to the deletion got lost, and nobody is at it any
 * more. `land`: the bucket carries the deletion out.
 */
async function evictedWithoutAnswer() {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  Object.assign(rig.placement.policy, { original: ['local'] })
  await replicateObject(rig.placement, { objectId: id, to: 'local' })
  const { backend } = s3()
  const remove = backend.delete
  let land = async () => {}
  backend.delete = async (permit) => {
    land = () => s3().inner.delete(permit)
    throw new StorageError('unavailable', 'the answer got lost')
  }
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), /got lost/)
  backend.delete = remove
  assert.deepEqual(await places(id), ['local verified', 's3 evicting'])
  await rig.pool.query(`update replica set lease_expires_at = now() - interval '1 minute'`)
  return { id, bytes, land: () => land() }
}

const goOn = (id: string) => evictReplica(rig.placement, { objectId: id, from: 's3' })

test('L2: bytes that were being given up, and are all that is left, outlive a deletion that is carried out late', async () => {
  const { id, bytes, land } = await evictedWithoutAnswer()
  const { key } = await replicaAt(id, 's3')
  await flipLocal(id, bytes)
  await goOn(id)
  assert.match((await places(id)).join(), /s3 verified/)
  assert.ok((await replicaAt(id, 's3')).key !== key, 'under a key that nobody asked to be removed')
  assert.deepEqual(await read(id), bytes)
  await land()
  assert.deepEqual(await read(id), bytes)
  // Nothing is left over once the request can't be under way any more.
  await rig.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(rig.placement)
  assert.deepEqual(heldKeys(), [(await replicaAt(id, 's3')).key])
})

test('L2: the old key is cleared where the deletion was never carried out', async () => {
  const { id, bytes } = await evictedWithoutAnswer()
  await flipLocal(id, bytes)
  await goOn(id)
  assert.equal(heldKeys().length, 2)
  await rig.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(rig.placement)
  assert.deepEqual(heldKeys(), [(await replicaAt(id, 's3')).key])
  assert.deepEqual(await read(id), bytes)
})

test('L2: where the bucket is away, it is tried again; where it takes nothing any more, the bytes stay where they are', async () => {
  const { id, bytes } = await evictedWithoutAnswer()
  const { key } = await replicaAt(id, 's3')
  await flipLocal(id, bytes)
  s3().plan({ call: 'put', when: 'before' })
  await assert.rejects(goOn(id), { kind: 'unavailable' })
  assert.match((await places(id)).join(), /s3 evicting/)
  const { put } = s3().backend
  s3().backend.put = async (...args) => {
    s3().backend.put = put
    const result = await put(...args)
    s3().plan({ call: 'head', when: 'before' })
    return result
  }
  await assert.rejects(goOn(id), { code: 'unavailable' })
  assert.match((await places(id)).join(), /s3 evicting/)
  s3().plan({ call: 'put', when: 'before', error: new StorageError('denied', 'no puts') })
  await goOn(id)
  assert.match((await places(id)).join(), /s3 verified/)
  assert.equal((await replicaAt(id, 's3')).key, key)
  assert.deepEqual(await read(id), bytes)
})

test('L2: two who go on at once leave one replica, and what both put is cleared', async () => {
  const { id, bytes, land } = await evictedWithoutAnswer()
  await flipLocal(id, bytes)
  // The slower one may find what the faster one has changed: its job would look again.
  const ends = await Promise.allSettled([goOn(id), goOn(id)])
  for (const end of ends) if (end.status === 'rejected') assert.ok(end.reason instanceof RetryLater)
  assert.ok(ends.some(({ status }) => status === 'fulfilled'))
  await land()
  await rig.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(rig.placement)
  assert.deepEqual(heldKeys(), [(await replicaAt(id, 's3')).key])
  assert.deepEqual(await read(id), bytes)
})

/** The next HEAD is answered with what was true before the bytes came. */
function answerStale(): void {
  const { backend } = s3()
  const { head } = backend
  backend.head = async () => {
    backend.head = head
    return null
  }
}

test('L3: one stale "not found" does not end an eviction while nothing else stands for the bytes', async () => {
  const { id, bytes } = await evictedWithoutAnswer()
  await flipLocal(id, bytes)
  answerStale()
  await goOn(id)
  assert.match((await places(id)).join(), /s3 verified/)
  assert.deepEqual(await read(id), bytes)
})

test('L3: one stale "not found" does not end a write whose answer got lost', async () => {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  s3().plan({ call: 'put', when: 'after' })
  s3().plan({ call: 'head', when: 'before' })
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
  assert.deepEqual(await places(id), ['local verified', 's3 writing'])
  await flipLocal(id, bytes)
  await rig.pool.query(`update replica set lease_expires_at = now() - interval '1 minute'`)
  answerStale()
  await sweepPlacement(rig.placement)
  assert.match((await places(id)).join(), /s3 verified/)
  const { key } = await replicaAt(id, 's3')
  assert.deepEqual(s3().inner.held.get(key)!.bytes, bytes)
})

test('L3: what is not there at the second look either is forgotten', async () => {
  const { id, bytes, land } = await evictedWithoutAnswer()
  await land()
  await goOn(id)
  assert.deepEqual(await places(id), ['local verified'])
  assert.deepEqual(await read(id), bytes)
})
