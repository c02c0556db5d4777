/**
 * A direct upload ends while an adoption reads what it has found of it: as a replica of what is to go, the
 * bytes would go with it, unseen.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { bodyOf } from '../../storage/contract/bodies.ts'
import { ask, confirm, send, show, startDirectServer } from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'

type Ending = 'open' | 'given up' | 'failed'

/** Adopts the media folder, where the newer ledger has put the file; `ending` happens during the reading. */
async function adoptWhile(t: TestContext, ending: Ending) {
  const settings = { counterGoodForMs: 3_600_000, removalWaitMs: 0 }
  const server = await startDirectServer(t, { settings })
  const { admin, pool, placement } = server
  const { backend, id: locationId } = placement.local
  const bytes = await photo(64)
  const upload = await ask(admin, bytes, 'a.jpg')
  await send(upload.put!, bytes)
  if (ending === 'failed') await confirm(admin, upload.id)
  const { rows } = await pool.query<{ id: string }>('select object_id as id from direct_upload')
  const { object } = (await loadObject(server.db, rows[0]!.id))!
  const key = freshKey(object)
  await backend.put(key, bodyOf(bytes), {})
  for (const held of await server.bucket.stored.objects())
    if (held.key.includes('/users/')) await server.bucket.stored.vanish(held.key)
  await pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = $1`,
    [locationId],
  )
  await beginAdoption(placement, locationId, 'test')

  const { get } = backend
  backend.get = async (...given: Parameters<typeof get>) => {
    if (given[0] === key) {
      backend.get = get
      if (ending === 'given up') await admin.call(`/storage/uploads/${upload.id}`, { method: 'DELETE' })
      if (ending === 'failed') {
        await pool.query(`delete from graphile_worker._private_jobs where task_id in (
          select id from graphile_worker._private_tasks where identifier = 'adopt-location')`)
        await server.runJobs()
        assert.equal((await show(admin, upload.id)).state, 'failed')
      }
    }
    return get.apply(backend, given)
  }
  await adoptLocation(placement, { locationId })
  // Whatever waits for a time of its own.
  await pool.query(`update replica set writable_until = now() - interval '1 day',
    lease_expires_at = lease_expires_at - interval '1 day'`)
  for (let run = 0; run < 3; run += 1) {
    await pool.query('update graphile_worker._private_jobs set run_at = now()')
    await server.runJobs()
  }
  return backend.head(key)
}

for (const ending of ['open', 'given up', 'failed'] as const)
  test(`A1: bytes that an adoption finds stay; the upload is ${ending} when they were read`, async (t) => {
    assert.notEqual(await adoptWhile(t, ending), null)
  })
