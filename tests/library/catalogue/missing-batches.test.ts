/** A batch that is missing, hidden or damaged: the order of all others holds, and somebody hears of it. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import type { MemoryBackend } from '../../../src/storage/memory/memory.ts'
import { headsOf, type Installation, moveBucket, openInstallation } from './support.ts'

const BEN = { email: 'ben@example.org', name: 'Ben', password: 'a long password' }

/** Writes a batch. @returns its key */
async function batchOf(one: Installation): Promise<string> {
  const before = new Set(one.batchKeys())
  await one.write()
  const [key] = one.batchKeys().filter((each) => !before.has(each))
  assert.ok(key)
  return key
}

async function remove({ pool }: Installation, userId: string): Promise<void> {
  await pool.query('update app_user set deleted_at = now(), removal_begun_at = now() where id = $1', [userId])
  await pool.query('delete from app_user where id = $1', [userId])
}

async function openWithDeletedUser(t: TestContext) {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const ben = await from.user(BEN)
  const keys = [await batchOf(from)]
  for (const name of ['a.jpg', 'b.jpg']) {
    await from.upload(anna.id, name)
    keys.push(await batchOf(from))
  }
  await remove(from, ben.id)
  keys.push(await batchOf(from))
  return { from, to, keys }
}

const emails = async ({ pool }: Installation) =>
  (await pool.query('select email from app_user order by 1')).rows.map(({ email }) => email)

test('one missing batch does not make an older one as good as those after it', async (t) => {
  const { from, to, keys } = await openWithDeletedUser(t)
  await moveBucket(from, to)
  to.heldIn('s3').delete(keys[2]!)
  const report = await to.adopt()
  assert.deepEqual(await emails(to), ['anna@example.org'], 'who was deleted for good stays so')
  assert.deepEqual(
    report.unusable.map(({ location, key, reason }) => [location, key, /is missing/.test(reason)]),
    [['s3', keys[3], true]],
  )
})

test('what a snapshot stands for is not missed', async (t) => {
  const { from, to, keys } = await openWithDeletedUser(t)
  await from.pool.query('update catalogue_state set is_snapshot_due = true')
  await from.user(BEN)
  await batchOf(from)
  await moveBucket(from, to)
  for (const key of [keys[0]!, keys[2]!]) to.heldIn('s3').delete(key)
  assert.deepEqual((await to.adopt()).unusable, [])
  assert.deepEqual(await emails(to), ['anna@example.org', 'ben@example.org'])
})

test('without the snapshot, those after it still come after those before it', async (t) => {
  const { from, to, keys } = await openWithDeletedUser(t)
  await from.pool.query('update catalogue_state set is_snapshot_due = true')
  const cleo = await from.user({ ...BEN, email: 'cleo@example.org' })
  const snapshot = await batchOf(from)
  await remove(from, cleo.id)
  const last = await batchOf(from)
  await moveBucket(from, to)
  to.heldIn('s3').delete(snapshot)
  const report = await to.adopt()
  assert.deepEqual(await emails(to), ['anna@example.org'])
  assert.deepEqual(
    report.unusable.map(({ key }) => key),
    [last],
  )
  assert.ok(keys.length === 4)
})

test('a database whose own newest batch is missing knows the older ones all the same', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const album = '5f0c2d7e-7a44-4a77-9c0c-3f4f4cb0a111'
  await one.pool.query(`insert into album (id, name) values ($1, 'Süden')`, [album])
  await one.pool.query(`insert into album_user (album_id, user_id, role) values ($1, $2, 'owner')`, [
    album,
    anna.id,
  ])
  await batchOf(one)
  await one.upload(anna.id)
  const newest = await batchOf(one)
  // As a backup that was made before the copy of that batch: neither the disk nor the bucket has it.
  await one.pool.query('delete from catalogue_change')
  one.heldIn('s3').delete(newest)
  const { rows } = await one.pool.query<{ key: string }>(
    `select key from replica r join stored_object o on o.id = r.object_id join catalogue_batch on o.id = catalogue_batch.object_id
     where location_id = 'local' and encode(sha256, 'hex') = $1`,
    [(await headsOf(one))[0]],
  )
  for (const { key } of rows) await rm(join(one.mediaLocation, key))
  await one.pool.query('delete from album')
  assert.equal((await one.adopt({ isRebuild: false, isFresh: false })).albums, 0)
})

test('a batch that a delete marker hides is named', async (t) => {
  const { from, to, keys } = await openWithDeletedUser(t)
  await moveBucket(from, to)
  const held = to.heldIn('s3').get(keys[3]!)!
  to.heldIn('s3').delete(keys[3]!)
  const inner = to.remotes.get('s3')!.inner as MemoryBackend & { locks?: StorageBackend['locks'] }
  async function* listHidden(prefix: string) {
    if (keys[3]!.startsWith(prefix))
      yield { key: keys[3]! as never, size: held.bytes.length, modifiedAt: held.modifiedAt }
  }
  const location = to.placement.locations.get('s3')!
  Object.assign(location.backend, { locks: { ...inner.locks, listHidden, daysOf: () => null } })
  const report = await to.adopt()
  assert.deepEqual(report.unusable, [{ location: 's3', key: keys[3]!, reason: 'a delete marker hides it' }])
})

test('a batch names all since the last but one snapshot, and no more than is kept', async (t) => {
  const one = await openInstallation(t)
  const parents: string[][] = []
  for (const isSnapshot of [true, false, true, false, true, false]) {
    await one.user({ ...BEN, email: `${parents.length}@example.org` })
    await one.pool.query('update catalogue_state set is_snapshot_due = $1', [isSnapshot])
    const { bytes } = one.heldIn('s3').get(await batchOf(one))!
    const [header] = gunzipSync(bytes).toString().split('\n')
    parents.push((JSON.parse(header!) as { parents: string[] }).parents)
  }
  assert.deepEqual(
    parents.map(({ length }) => length),
    [0, 1, 2, 3, 4, 3],
  )
})
