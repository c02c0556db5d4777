/**
 * Right bytes under a key that no replica names, or that is being given up, and whose deletion was sent
 * before: its answer got lost, and the bucket may still carry it out. Where nothing else stands for them, the
 * ledger names them under a fresh key, which nobody asked to be removed.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import type { Replica } from '../../../src/placement/ledger/objects.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { type ObjectKey, type StorageBackend, StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import {
  type ClassBucket,
  heldClasses,
  passClassTime,
  startClassBucket,
} from '../../support/storage/class-bucket.ts'

const MONTH_MS = 31 * 24 * 3_600_000

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>

beforeEach(async () => {
  database = await testDatabase()
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

const places = (id: string) => placesOf(database.db, id)
const read = async (id: string) => buffer(await (await findServable(rig.placement, id)).open())

async function replicaAt(objectId: string, at: string): Promise<Replica> {
  const { replicas } = (await loadObject(database.db, objectId))!
  return replicas.find(({ locationId }) => locationId === at)!
}

/**
 * The answer to the next deletion gets lost, and the bucket has not carried it out yet. What is returned
 * carries it out.
 */
function loseDeletion(backend: StorageBackend): () => Promise<void> {
  const remove = backend.delete
  const sent = Promise.withResolvers<() => Promise<void>>()
  backend.delete = async (permit) => {
    backend.delete = remove
    sent.resolve(() => remove.call(backend, permit))
    throw new StorageError('unavailable', 'the answer got lost')
  }
  return async () => (await sent.promise)()
}

async function sweepKeys(): Promise<void> {
  await database.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  await sweepPlacement(rig.placement)
}

describe('in a bucket', () => {
  beforeEach(async () => {
    rig = await testPlacement(database.db)
  })

  const s3 = () => rig.remotes.get('s3')!
  const heldKeys = () => [...s3().inner.held.keys()].filter((key) => key.startsWith('users/')).sort()

  async function offload(bytes: Buffer): Promise<string> {
    const id = await ingestBytes(rig.placement, bytes)
    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    await evictReplica(rig.placement, { objectId: id, from: 'local' })
    return id
  }

  /** The bytes once more, under a key that is to be cleared, and that a deletion was sent to. */
  async function sendDeletionOfStray(id: string, bytes: Buffer) {
    const stray = freshKey((await loadObject(database.db, id))!.object)
    s3().inner.held.set(stray, { bytes, modifiedAt: new Date() })
    await noteKeyToClear(database.db, { objectId: id, locationId: 's3', key: stray }, 0)
    const land = loseDeletion(s3().backend)
    await sweepPlacement(rig.placement)
    assert.ok(heldKeys().includes(stray), 'it is not carried out yet')
    return { stray, land }
  }

  test('A4: a key to clear whose deletion was sent, and that is all that is left, is put anew', async () => {
    const bytes = randomBytes(20_000)
    const id = await offload(bytes)
    const { key: lost } = await replicaAt(id, 's3')
    const { stray, land } = await sendDeletionOfStray(id, bytes)
    s3().inner.held.delete(lost)
    // The first look finds that the replica is gone, the second keeps what is there.
    await sweepKeys()
    await sweepKeys()
    assert.deepEqual(await places(id), ['s3 verified'])
    const { key } = await replicaAt(id, 's3')
    assert.notEqual(key, stray)
    await land()
    assert.deepEqual(await read(id), bytes)
    await sweepKeys()
    assert.deepEqual(heldKeys(), [key])
    assert.deepEqual(await read(id), bytes)
  })

  test('A4: where the bucket takes no put any more, they stay under their key', async () => {
    const bytes = randomBytes(20_000)
    const id = await offload(bytes)
    const { key: lost } = await replicaAt(id, 's3')
    const { stray } = await sendDeletionOfStray(id, bytes)
    s3().inner.held.delete(lost)
    await sweepKeys()
    s3().plan({ call: 'put', when: 'before', error: new StorageError('denied', 'no puts') })
    await sweepKeys()
    assert.equal((await replicaAt(id, 's3')).key, stray)
    assert.deepEqual(await read(id), bytes)
  })

  test('A4: what is put anew is not taken where its clearing has begun', async () => {
    const bytes = randomBytes(20_000)
    const id = await offload(bytes)
    const { key: lost } = await replicaAt(id, 's3')
    await sendDeletionOfStray(id, bytes)
    s3().inner.held.delete(lost)
    await sweepKeys()
    // A put that took so long that somebody looked after its key, and decided.
    const { put } = s3().backend
    let fresh: ObjectKey | undefined
    s3().backend.put = async (key, ...given) => {
      s3().backend.put = put
      fresh = key
      const result = await put(key, ...given)
      await database.pool.query(`update key_to_clear set removal = 'other-copy' where key = $1`, [key])
      return result
    }
    await sweepKeys()
    assert.ok(fresh)
    assert.notEqual((await replicaAt(id, 's3')).key, fresh)
    await sweepKeys()
    assert.deepEqual(await read(id), bytes)
    assert.notEqual((await replicaAt(id, 's3')).key, fresh)
  })

  async function adopt(): Promise<void> {
    await database.pool.query(
      `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
    )
    await beginAdoption(rig.placement, 's3', 'test')
    await adoptLocation(rig.placement, { locationId: 's3' })
  }

  test('A4: a replica that was being given up, and is kept in an adoption, is put anew', async () => {
    const bytes = randomBytes(20_000)
    const id = await offload(bytes)
    Object.assign(rig.placement.policy, { original: ['local'] })
    await replicateObject(rig.placement, { objectId: id, to: 'local' })
    const land = loseDeletion(s3().backend)
    await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 's3' }), /got lost/)
    const { key: old } = await replicaAt(id, 's3')
    await adopt()
    assert.deepEqual(await places(id), ['local verified', 's3 verified'])
    const { key } = await replicaAt(id, 's3')
    assert.notEqual(key, old)
    await land()
    const local = await replicaAt(id, 'local')
    await writeFile(rig.placement.local.backend.localFiles!.path(local.key), randomBytes(20_000))
    assert.deepEqual(await read(id), bytes)
  })

  test('A4: a key that is to be cleared, and is found by an adoption, is put anew', async () => {
    const bytes = randomBytes(20_000)
    const id = await offload(bytes)
    const { key: lost } = await replicaAt(id, 's3')
    const { stray, land } = await sendDeletionOfStray(id, bytes)
    s3().inner.held.delete(lost)
    await sweepKeys()
    assert.deepEqual(await places(id), ['s3 suspect'])
    await adopt()
    assert.deepEqual(await places(id), ['s3 verified'])
    assert.notEqual((await replicaAt(id, 's3')).key, stray)
    await land()
    assert.deepEqual(await read(id), bytes)
  })

  test('A4: on a disk a deletion is over when its process is: the file stays where it is', async () => {
    const bytes = randomBytes(20_000)
    const id = await ingestBytes(rig.placement, bytes)
    const { key: lost } = await replicaAt(id, 'local')
    const files = rig.placement.local.backend.localFiles!
    const stray = freshKey((await loadObject(database.db, id))!.object)
    await rig.placement.local.backend
      .put(
        stray,
        {
          size: bytes.length,
          digests: [],
          open: () => {
            throw new Error('not read')
          },
        },
        {},
      )
      .catch(() => undefined)
    await writeFile(files.path(stray), bytes)
    await noteKeyToClear(database.db, { objectId: id, locationId: 'local', key: stray }, 0)
    await rm(files.path(lost))
    await sweepKeys()
    await sweepKeys()
    assert.deepEqual(await places(id), ['local verified'])
    assert.equal((await replicaAt(id, 'local')).key, stray)
    assert.deepEqual(await read(id), bytes)
  })
})

describe('a class change', () => {
  let bucket: ClassBucket
  let aheadMs = 0

  beforeEach(async () => {
    aheadMs = 0
    bucket = await startClassBucket()
    rig = await testPlacement(database.db, {
      remotes: [],
      originals: ['bucket'],
      extra: [bucket.location],
      classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] } },
      now: () => new Date(Date.now() + aheadMs),
    })
  })
  afterEach(() => bucket.close())

  const heldKeys = async () => [...(await heldClasses(bucket.server)).keys()].sort()

  async function sweepLater(): Promise<void> {
    await passClassTime(database.db)
    await sweepPlacement(rig.placement)
  }

  async function changed(bytes: Buffer) {
    const id = await ingestBytes(rig.placement, bytes)
    await replicateObject(rig.placement, { objectId: id, to: 'bucket' })
    await evictReplica(rig.placement, { objectId: id, from: 'local' })
    const { key: before } = await replicaAt(id, 'bucket')
    aheadMs = MONTH_MS
    await changeClass(rig.placement, { objectId: id, at: 'bucket' })
    return { id, before, after: (await replicaAt(id, 'bucket')).key }
  }

  test('A4: old bytes whose deletion was sent, and that are all that is left, are put anew', async () => {
    const bytes = randomBytes(200 * 1024)
    const { id, before, after } = await changed(bytes)
    const land = loseDeletion(bucket.location.backend)
    await sweepLater()
    assert.deepEqual(await heldKeys(), [before, after].sort(), 'it is not carried out yet')
    await bucket.server.stored.vanish(after)
    await sweepLater()
    assert.deepEqual(await places(id), ['bucket verified'])
    const { key } = await replicaAt(id, 'bucket')
    assert.ok(![before, after].includes(key))
    await land()
    assert.deepEqual(await read(id), bytes)
    await sweepLater()
    await sweepKeys()
    assert.deepEqual(await heldKeys(), [key], 'nothing is left over')
    assert.deepEqual(await read(id), bytes)
  })

  test('A4: they wait while the bucket can not be reached, and nothing is lost', async () => {
    const bytes = randomBytes(200 * 1024)
    const { id, after } = await changed(bytes)
    await bucket.server.stored.vanish(after)
    const status = { kind: 'status', status: 503, code: 'SlowDown' } as const
    bucket.server.faults.add({ match: { operation: 'PutObject', key: /^users\// }, fault: status })
    await sweepLater()
    assert.deepEqual(await places(id), ['bucket suspect'])
    bucket.server.faults.clear()
    await sweepLater()
    assert.deepEqual(await places(id), ['bucket verified'])
    assert.deepEqual(await read(id), bytes)
  })
})
