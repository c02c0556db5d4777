/**
 * The last look at a key, after a time in which nothing ran or the bucket was away: what it finds out is not
 * forgotten with the key.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { clearLateKeys } from '../../../src/placement/removal/clear-keys.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

test('right bytes at a key become the replica also where that is found missing at the last look', async () => {
  const bytes = randomBytes(3_000)
  const id = await rig.ingestOffloaded(bytes)
  const { object } = (await loadObject(rig.db, id))!
  const { key: lost } = await rig.replicaAt(id, 's3')
  const key = freshKey(object)
  const { held } = rig.s3().inner
  held.set(key, { bytes, modifiedAt: new Date() })
  await noteKeyToClear(rig.db, { objectId: id, locationId: 's3', key }, 0)
  // Nothing ran for two days.
  await rig.pool.query(`update key_to_clear set writable_until = now() - interval '2 days', clear_at = now()`)
  held.delete(lost)
  for (let look = 0; look < 3; look += 1) {
    await clearLateKeys(rig.placement)
    await rig.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  }
  assert.deepEqual(await rig.places(id), ['s3 verified'])
  assert.deepEqual(await buffer(await (await findServable(rig.placement, id)).open()), bytes)
})
