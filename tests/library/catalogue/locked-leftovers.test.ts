/** What was deleted for good, while the bucket keeps its bytes for weeks: no photo is made of it again. */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { markForPurge } from '../../../src/placement/lifecycle/purge.ts'
import { type Installation, moveBucket, openInstallation } from './support.ts'

/** Deletes it for good; its bytes stay at the locations, as those of a locked bucket do. */
async function deleteForGood({ db, pool }: Installation, assetId: string): Promise<void> {
  const { rows } = await pool.query<{ id: string }>(
    'delete from asset where id = $1 returning original_object_id as id',
    [assetId],
  )
  await db.transaction().execute((tx) => markForPurge(tx, [rows[0]!.id], 'user'))
}

async function snapshot(one: Installation): Promise<void> {
  await one.pool.query('update catalogue_state set is_snapshot_due = true')
  assert.ok((await one.write()).batch)
}

test('a deleted photo does not come back from a locked bucket, whatever the catalogue was written with', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const [kept, gone] = [await from.upload(anna.id, 'kept.jpg'), await from.upload(anna.id, 'gone.jpg')]
  await from.write()
  await deleteForGood(from, gone.id)
  await from.write()
  await from.user({ email: 'ben@example.org', name: 'Ben', password: 'a long password' })
  await snapshot(from)
  await moveBucket(from, to)
  const report = await to.adopt()
  assert.deepEqual([report.users, report.assets, report.byKeyAlone], [2, 1, 0])
  assert.deepEqual(
    (await to.assets()).map(({ id }) => id),
    [kept.id],
  )
})

test('nobody is made of the files of a user who was removed', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const ben = await from.user({ email: 'ben@example.org', name: 'Ben', password: 'a long password' })
  await from.upload(anna.id, 'kept.jpg')
  const named = await from.upload(ben.id, 'gone.jpg')
  // Of an upload that was over before any batch could name it.
  const unnamed = await from.upload(ben.id, 'in no batch.jpg')
  for (const { id } of [named, unnamed]) await deleteForGood(from, id)
  await from.pool.query('update app_user set deleted_at = now(), removal_begun_at = now() where id = $1', [
    ben.id,
  ])
  await from.pool.query('delete from app_user where id = $1', [ben.id])
  // One purge is over at the locations that this ledger knows.
  await from.pool.query(`begin; set local session_replication_role = replica;
    delete from stored_object where asset_id = '${unnamed.id}'; commit`)
  await snapshot(from)
  await moveBucket(from, to)
  const report = await to.adopt()
  assert.deepEqual([report.users, report.assets, report.byKeyAlone], [1, 1, 0])
  const { rows } = await to.pool.query('select email from app_user')
  assert.deepEqual(rows, [{ email: 'anna@example.org' }])
})

test('bytes that wait for the copy that they are a duplicate of are not told as gone', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const twin = await from.upload(anna.id, 'twin.jpg')
  const { rows } = await from.pool.query<{ id: string }>(
    'delete from asset where id = $1 returning original_object_id as id',
    [twin.id],
  )
  await from.db.transaction().execute((tx) => markForPurge(tx, [rows[0]!.id], 'duplicate'))
  await snapshot(from)
  await moveBucket(from, to)
  assert.equal((await to.adopt()).byKeyAlone, 1)
})

test('a key with the id of the upload that has repaired a photo brings nothing back when that is deleted', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const photo = await from.upload(anna.id)
  await from.write()
  const key = `users/${anna.id}/${randomUUID()}/original.${randomBytes(16).toString('hex')}.jpg`
  const held = from.heldIn('s3')
  const { rows } = await from.pool.query<{ key: string }>(
    "select key from replica where location_id = 's3' and key like 'users/%'",
  )
  held.set(key, held.get(rows[0]!.key)!)
  held.delete(rows[0]!.key)
  await from.pool.query(`begin; set local session_replication_role = replica;
    update replica set key = '${key}' where key = '${rows[0]!.key}' and location_id = 's3'; commit`)
  await deleteForGood(from, photo.id)
  for (const isSnapshot of [false, true]) {
    await from.user({ email: `${isSnapshot}@example.org`, name: 'Ben', password: 'a long password' })
    await from.pool.query('update catalogue_state set is_snapshot_due = $1', [isSnapshot])
    assert.ok((await from.write()).batch)
    const fresh = isSnapshot ? to : await openInstallation(t)
    await moveBucket(from, fresh)
    assert.equal((await fresh.adopt()).assets, 0)
  }
})
