/**
 * Bytes of a write that nobody finished, which may have been acknowledged: one wrong reading removes none.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { beginObject, loadObject } from '../../../src/placement/ledger/replicas.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { abandonWriting } from '../../../src/placement/removal/abandon.ts'
import { clearLateKeys } from '../../../src/placement/removal/clear-keys.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const BYTES = randomBytes(5_000)

/** The intent of a write at a bucket that attests to nothing, and what lies there. */
async function unfinishedWrite(bytes: Buffer) {
  const { backend, inner } = rig.s3()
  const object = {
    id: randomUUID(),
    kind: 'original' as const,
    ownerId: randomUUID(),
    assetId: randomUUID(),
    size: BYTES.length,
    sha256: createHash('sha256').update(BYTES).digest('hex'),
    contentType: 'image/jpeg',
    extension: 'jpg',
    createdAt: new Date(),
  }
  const key = freshKey(object)
  await beginObject(rig.db, object, { replicas: [{ locationId: 's3', key }], actor: 'test', leaseMs: 0 })
  inner.held.set(key, { bytes, modifiedAt: new Date() })
  const { head, get } = backend
  backend.head = async (...given) => {
    const info = await head(...given)
    return info && { ...info, attested: [] }
  }
  return {
    key,
    isHeld: () => inner.held.has(key),
    /** The next readings have one byte that is another one. */
    flip(readings: number) {
      backend.get = async (...given) => {
        const found = await get(...given)
        if (readings-- <= 0) return found
        const wrong = Buffer.from(bytes)
        wrong[readings]! ^= 1
        return { ...found, stream: Readable.from([wrong]) }
      }
    },
    abandon: () =>
      abandonWriting(
        rig.placement,
        { objectId: object.id, locationId: 's3', key },
        { actor: 'test', onlyIfDead: false },
      ),
  }
}

test('bytes that were read wrongly once stay, and are kept when they are read rightly', async () => {
  const write = await unfinishedWrite(BYTES)
  write.flip(1)
  await assert.rejects(write.abandon(), { name: 'RetryLater' })
  assert.ok(write.isHeld())
  assert.equal(await write.abandon(), 'kept')
})

test('bytes that are read as two other things stay', async () => {
  const write = await unfinishedWrite(BYTES)
  write.flip(2)
  await assert.rejects(write.abandon(), { name: 'RetryLater' })
  assert.ok(write.isHeld())
})

test('wrong bytes go when both readings find the same ones', async () => {
  const write = await unfinishedWrite(randomBytes(BYTES.length))
  assert.equal(await write.abandon(), 'ended')
  assert.ok(!write.isHeld())
})

test('a put that is carried out after its row was given up is found, and goes with its photo', async () => {
  const objectId = await ingestBytes(rig.placement, BYTES)
  const { backend, inner } = rig.s3()
  const { put } = backend
  let late: string | undefined
  backend.put = async (key) => {
    backend.put = put
    late = key
    throw new StorageError('unavailable', 'no answer')
  }
  await assert.rejects(replicateObject(rig.placement, { objectId, to: 's3' }))
  await replicateObject(rig.placement, { objectId, to: 's3' })
  const { replicas } = (await loadObject(rig.db, objectId))!
  const named = replicas.find(({ locationId }) => locationId === 's3')!.key
  assert.notEqual(named, late)
  inner.held.set(late!, { bytes: BYTES, modifiedAt: new Date() })
  await rig.pool.query('update key_to_clear set clear_at = now()')
  await clearLateKeys(rig.placement)
  assert.deepEqual([...inner.held.keys()], [named])
})
