/** In a bucket with Object Lock, a stranger's delete markers hide what a takeover or a restore looks for. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { makeIdentity, seal } from '../../../src/database/backups/seal.ts'
import { writeBackup } from '../../../src/database/backups/write-backup.ts'
import { chooseBackup } from '../../../src/placement/backups/choose-backup.ts'
import { knownKey, timeInKey } from '../../../src/placement/keys.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { hide, ofOurs, startLockedBucket } from '../../support/storage/locked-bucket.ts'

type Rig = Awaited<ReturnType<typeof startLockedBucket>>

/** As after a backup that was put back, when an administrator has said so. */
async function adopt({ placement, pool }: Rig) {
  await pool.query(`update location_counter set conflict = 'another-ledger', conflict_since = now()`)
  await beginAdoption(placement, 'bucket', 'test')
  return (await adoptLocation(placement, { locationId: 'bucket' }))!
}

test('a takeover brings back what is hidden, though the location is in conflict until its end', async (t) => {
  const rig = await startLockedBucket(t)
  const ids = [await rig.offload(), await rig.offload()]
  const { key } = (await ofOurs(rig.server))[0]!
  await hide(rig.server, key)
  const { confirmed, missing } = await adopt(rig)
  assert.deepEqual([confirmed.count, missing.count], [2, 0])
  assert.ok(await rig.location.backend.head(knownKey(key)))
  for (const id of ids) assert.deepEqual(await rig.places(id), ['bucket verified'])
})

test('what can not be brought back is counted, and does not end the takeover', async (t) => {
  const rig = await startLockedBucket(t)
  const id = await rig.offload()
  await hide(rig.server, (await ofOurs(rig.server))[0]!.key)
  rig.server.faults.add({
    match: { operation: 'DeleteObject' },
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  const { confirmed, missing, toRead } = await adopt(rig)
  assert.deepEqual([confirmed.count, missing.count, toRead.count], [0, 0, 1])
  assert.deepEqual(await rig.places(id), ['bucket verified'])
})

test('a restore names the newest backup where it is hidden, and takes no older one in silence', async (t) => {
  const rig = await startLockedBucket(t)
  const { identity, recipient } = await makeIdentity()
  const plain = await buffer(writeBackup(rig.pool, { version: '1.2.3', sections: [JOBS_SECTION] }))
  const { rows } = await rig.pool.query<{ id: string }>('select id from installation')
  const keys: string[] = []
  for (const takenAt of [new Date(Date.now() - 7_200_000), new Date(Date.now() - 3_600_000)]) {
    const text = plain.toString('latin1').replace(/"takenAt":"[^"]+"/, `"takenAt":"${takenAt.toISOString()}"`)
    const bytes = await buffer(seal(Readable.from([Buffer.from(text, 'latin1')]), recipient))
    const key = `backups/${rows[0]!.id}/${timeInKey(takenAt)}.${'ab'.repeat(16)}.age`
    await rig.location.backend.put(knownKey(key), {
      size: bytes.length,
      digests: [{ algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') }],
      open: () => Readable.from([bytes]),
    })
    keys.push(key)
  }
  const choose = (at?: string) => chooseBackup(rig.location, identity, at)
  assert.equal((await choose()).found.key, keys[1])
  await hide(rig.server, keys[1]!)
  const refused = await choose().catch((error: Error) => error)
  assert.ok(refused instanceof Error)
  assert.match(refused.message, /a delete marker hides it/)
  for (const key of keys) assert.ok(refused.message.includes(key), refused.message)
  assert.equal((await choose(keys[0])).found.key, keys[0])
  await hide(rig.server, keys[0]!)
  const none = await choose().catch((error: Error) => error)
  assert.ok(none instanceof Error)
  for (const key of keys) assert.ok(none.message.includes(key), none.message)
})
