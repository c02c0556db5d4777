/**
 * Keys that are looked after for what may still be put there: each gets its turn, and nothing goes unseen.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import { loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { clearLateKeys } from '../../../src/placement/removal/clear-keys.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

const hold = (key: string, bytes: Buffer) => rig.s3().inner.held.set(key, { bytes, modifiedAt: new Date() })
const held = (key: string) => rig.s3().inner.held.has(key)

async function clear(): Promise<number> {
  await rig.pool.query('update key_to_clear set clear_at = now()')
  return clearLateKeys(rig.placement)
}

test('a key that fails keeps no other one waiting, and is tried again more and more rarely', async () => {
  const id = await rig.ingestOffloaded(randomBytes(2_000))
  const { object } = (await loadObject(rig.db, id))!
  const [bad, good] = [freshKey(object), freshKey(object)]
  for (const key of [bad, good]) {
    await noteKeyToClear(rig.db, { objectId: id, locationId: 's3', key }, 0)
    hold(key, randomBytes(2_000))
  }
  await rig.pool.query(`update key_to_clear set clear_at = now() - interval '1 hour' where key = $1`, [bad])
  const { backend } = rig.s3()
  const { head } = backend
  let tries = 0
  backend.head = async (key, ...rest) => {
    if (key !== bad) return head(key, ...rest)
    tries += 1
    throw new StorageError('denied', 'not this one')
  }
  assert.equal(await clearLateKeys(rig.placement), 1)
  assert.deepEqual([held(bad), held(good)], [true, false])
  await clear()
  assert.equal(tries, 1, 'it waits')
  for (const wait of ['5 minutes', '10 minutes']) {
    const { rows } = await rig.pool.query(
      `select round(extract(epoch from retry_at - now() - $2::interval) / 60) as off from key_to_clear where key = $1`,
      [bad, wait],
    )
    assert.equal(Number(rows[0].off), 0, wait)
    await rig.pool.query('update key_to_clear set retry_at = now()')
    await clear()
  }
  backend.head = head
  await rig.pool.query('update key_to_clear set retry_at = now()')
  await clear()
  assert.equal(held(bad), false)
})

async function purgedDuplicate(bytes: Buffer): Promise<{ photo: string; lateKey: string }> {
  const ownerId = randomUUID()
  const photo = await ingestBytes(rig.placement, bytes, { ownerId })
  const duplicate = await rig.ingestOffloaded(bytes, { ownerId })
  const { key } = await rig.replicaAt(duplicate, 's3')
  await rig.db.transaction().execute((tx) => markForPurge(tx, [duplicate], 'duplicate'))
  await noteKeyToClear(rig.db, { objectId: duplicate, locationId: 's3', key }, 0)
  await purgeObject(rig.placement, { objectId: duplicate })
  assert.equal(await loadObject(rig.db, duplicate), null)
  return { photo, lateKey: key }
}

test('a key is looked at again until a day after the end of its URL', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(2_000))
  const { object } = (await loadObject(rig.db, id))!
  const key = freshKey(object)
  await noteKeyToClear(rig.db, { objectId: id, locationId: 's3', key }, 0)
  const isNoted = async () =>
    (await rig.pool.query('select from key_to_clear where key = $1', [key])).rowCount === 1
  assert.equal(await clear(), 1)
  assert.equal(await isNoted(), true, 'nothing was there, and may come')
  hold(key, randomBytes(2_000))
  assert.equal(await clear(), 1)
  assert.deepEqual([held(key), await isNoted()], [false, true])
  await rig.pool.query(`update key_to_clear set writable_until = now() - interval '25 hours'`)
  assert.equal(await clear(), 1)
  assert.equal(await isNoted(), false)
})

for (const takesPuts of [true, false])
  test(`what is put late for a duplicate becomes the photo's that has lost its copy${takesPuts ? '' : ', where it lies'}`, async () => {
    const bytes = randomBytes(3_000)
    const { photo, lateKey } = await purgedDuplicate(bytes)
    await suspectReplica(rig.db, await rig.replicaAt(photo, 'local'), 'test')
    hold(lateKey, bytes)
    if (!takesPuts)
      rig.s3().backend.put = async () => {
        throw new StorageError('denied', 'no more puts')
      }
    for (let look = 0; look < 3; look += 1) {
      await clear()
      assert.deepEqual(await rig.places(photo), ['local suspect', 's3 verified'])
      assert.deepEqual(await buffer(await (await findServable(rig.placement, photo)).open()), bytes)
    }
    assert.equal(held(lateKey), !takesPuts)
  })

test('what is put late for a duplicate goes where its photo has a copy, or was deleted', async () => {
  const bytes = randomBytes(3_000)
  const { photo, lateKey } = await purgedDuplicate(bytes)
  hold(lateKey, bytes)
  await clear()
  assert.equal(held(lateKey), false)
  await suspectReplica(rig.db, await rig.replicaAt(photo, 'local'), 'test')
  await rig.db.transaction().execute((tx) => markForPurge(tx, [photo], 'user'))
  hold(lateKey, bytes)
  await clear()
  assert.equal(held(lateKey), false)
})
