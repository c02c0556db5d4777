/** An older database is put back, and the bucket that tells of the later state is read-only by now. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { asReadOnly } from '../../../src/open-locations.ts'
import type { Location } from '../../../src/placement/location.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { ANNA, openInstallation } from '../catalogue/support.ts'

test('neither the trash nor a user goes by an older state, also where its bucket is read-only', async (t) => {
  const one = await openInstallation(t)
  const { placement, db, pool } = one
  const anna = await one.user()
  const bert = await one.user({ ...ANNA, email: 'bert@example.org' })
  const photo = await one.upload(anna.id)
  await pool.query("update asset set deleted_at = now() - interval '40 days'")
  await pool.query("update app_user set deleted_at = now() - interval '40 days' where id = $1", [bert.id])
  const { inner } = one.remotes.get('s3')!
  const ours = (await inner.readCounter())!
  const { marker, value } = JSON.parse(ours.text) as { marker: string; value: number }
  const theirs = JSON.stringify({ marker, value: value + 1, token: randomUUID() })
  const version = await inner.writeCounter(theirs, ours.version)
  const locations = placement.locations as Map<string, Location>
  locations.set('s3', asReadOnly(locations.get('s3')!))
  forgetLooks(placement)
  const sweep = () => sweepLibrary({ db, placement, log: silentLog })
  const gone = async () => {
    const { purgedFromTrash } = await sweep()
    const { rows } = await pool.query('select from app_user where id = $1', [bert.id])
    return [purgedFromTrash, (await one.assets()).map(({ id }) => id), rows.length]
  }
  assert.deepEqual(await gone(), [0, [photo.id], 1])

  await inner.writeCounter(ours.text, version)
  assert.deepEqual(await gone(), [1, [], 0], 'the same with its own counter there')
})
