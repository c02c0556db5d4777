/** Whatever a key, a size or a row say: what a takeover makes a copy was read. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { beginReplica, loadObject } from '../../../src/placement/ledger/replicas.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

test('bytes under a key of ours are read before they are taken over, and wrong ones are not', async () => {
  const hold = (key: string, bytes: Buffer) => rig.s3().inner.held.set(key, { bytes, modifiedAt: new Date() })
  const stray = await ingestBytes(rig.placement, randomBytes(2_000))
  const unfinished = await ingestBytes(rig.placement, randomBytes(3_000))
  const right = await ingestBytes(rig.placement, randomBytes(4_000))
  const keyOf = async (objectId: string) => freshKey((await loadObject(rig.db, objectId))!.object)
  hold(await keyOf(stray), randomBytes(2_000))
  const key = await keyOf(unfinished)
  await beginReplica(rig.db, {
    objectId: unfinished,
    locationId: 's3',
    key,
    uploadId: null,
    actor: 'test',
    leaseMs: 0,
    storageClass: null,
  })
  hold(key, randomBytes(3_000))
  const bytes = await rig.disk.inner.get((await rig.replicaAt(right, 'local')).key)
  hold(await keyOf(right), Buffer.concat(await Array.fromAsync(bytes.stream)))

  await rig.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  await beginAdoption(rig.placement, 's3', 'test')
  const report = await adoptLocation(rig.placement, { locationId: 's3' })
  assert.deepEqual([report!.adopted.count, report!.wrong.count, report!.unknown.count], [1, 1, 1])
  assert.deepEqual(await rig.places(stray), ['local verified'])
  assert.deepEqual(await rig.places(unfinished), ['local verified', 's3 writing'])
  assert.deepEqual(await rig.places(right), ['local verified', 's3 verified'])
})
