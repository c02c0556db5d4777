/** Two runs of one purge: the job was enqueued again while it ran. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

test('P1: of a duplicate whose twin is gone, two purges at once leave one copy', async () => {
  const bytes = randomBytes(20_000)
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  // Read back, so that a look at it proves nothing new.
  await replicateObject(rig.placement, { objectId: id, to: 'local' })
  // Nothing else holds these bytes: what it was a duplicate of has lost them.
  await rig.db.transaction().execute((tx) => markForPurge(tx, [id], 'duplicate'))
  const purge = () => purgeObject(rig.placement, { objectId: id })

  const { backend } = rig.placement.local
  const { head, get } = backend
  // The first run can't look at the disk at once, and so begins with the bucket; it relies on the disk for
  // that.
  backend.head = async () => {
    backend.head = head
    throw new StorageError('unavailable', 'the disk is busy')
  }
  const hasRead = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  backend.get = async (...given) => {
    backend.get = get
    const held = await get(...given)
    const read = await buffer(held.stream)
    hasRead.resolve()
    await goOn.promise
    return { ...held, stream: Readable.from([read]) }
  }
  const first = assert.rejects(purge())
  await hasRead.promise
  // The second gives up what is on the disk, for it relies on the bucket.
  await assert.rejects(purge(), RetryLater)
  assert.deepEqual(await rig.places(id), ['s3 verified'])
  goOn.resolve()
  await first

  assert.deepEqual(await rig.places(id), ['s3 verified'])
  const { key } = (await loadObject(rig.db, id))!.replicas[0]!
  assert.ok(rig.s3().inner.held.has(key), 'the last right bytes are still in the bucket')
})
