/** Originals come back from a bucket to a disk on which something lies already. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { ingestBytes, policyOf } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

test('a truncated file that lies on the disk is not taken for the copy that is moved back', async () => {
  const bytes = randomBytes(9_000)
  const id = await ingestBytes(rig.placement, bytes)
  const before = await rig.replicaAt(id, 'local')
  await rig.offload(id)
  const left = rig.disk.inner.localFiles.path(before.key)
  await mkdir(dirname(left), { recursive: true })
  await writeFile(left, bytes.subarray(0, 4_000))

  rig.placement.policy = policyOf(['local'])
  await replicateObject(rig.placement, { objectId: id, to: 'local' })
  const { key } = await rig.replicaAt(id, 'local')
  assert.notEqual(key, before.key, 'no key is used a second time')
  assert.deepEqual(await readFile(rig.disk.inner.localFiles.path(key)), bytes)
  // Read back as a whole, since a disk attests to nothing; only then the bucket's goes.
  await evictReplica(rig.placement, { objectId: id, from: 's3' })
  assert.deepEqual(await rig.places(id), ['local verified'])
  assert.deepEqual(await readFile(rig.disk.inner.localFiles.path(key)), bytes)
})
