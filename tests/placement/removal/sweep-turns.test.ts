/** Rows that stay, more than a sweep takes at a time, keep no other one from being looked at. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { beginReplica, loadObject } from '../../../src/placement/ledger/replicas.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findUnlinked } from '../../../src/placement/maintenance/unlinked.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

async function addObjects(count: number, isLinked: boolean): Promise<void> {
  await rig.pool.query(
    `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension, is_linked, created_at)
     select gen_random_uuid(), gen_random_uuid(), 'original', 9, sha256(n::text::bytea), 'image/jpeg', 'jpg', $2,
       now() - interval '1 hour'
     from generate_series(1, $1::int) n`,
    [count, isLinked],
  )
}

test('an abandoned write gets its turn beside 600 at a place that is not configured any more', async () => {
  await rig.pool.query(`insert into location (id, kind, identity) values ('gone', 's3', 'gone')`)
  await addObjects(600, true)
  await rig.pool.query(
    `insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
     select id, 'gone', 'users/' || id, 'writing', 'test', now() - interval '1 hour' from stored_object`,
  )
  const id = await ingestBytes(rig.placement, randomBytes(500))
  const key = freshKey((await loadObject(rig.db, id))!.object)
  await beginReplica(rig.db, { objectId: id, locationId: 's3', key, actor: 'test', leaseMs: -1_000 })
  let ended = 0
  for (let run = 0; run < 12 && ended === 0; run += 1)
    ended += (await sweepPlacement(rig.placement)).abandonedWrites
  assert.equal(ended, 1)
})

test('objects that nothing refers to get their turn, however many stay', async () => {
  await addObjects(4, false)
  const found = new Set<string>()
  for (let run = 0; run < 80; run += 1) for (const id of await findUnlinked(rig.placement, 1)) found.add(id)
  assert.equal(found.size, 4)
})
